"""One worker: settings made into tables and steps, and a Faust app whose agents hand batches to the runner."""

import os
import signal
import time
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any, cast

import duckdb
import faust
import yarl
from faust.types import TP

from agents.batch import Batch
from agents.dedup.window import MemoryBudget
from agents.dedup.windows import Windows
from agents.deduplicate import DedupRules
from agents.enrich import EnrichRules
from agents.ingest import Ingest, StepRules
from agents.land import Landing
from agents.redact import RedactRules
from agents.validate import ValidateRules
from pipeline.config import Settings
from pipeline.metrics import WorkerMetrics
from pipeline.runner import Runner, Stream
from pipeline.stores import build_ssl_context, build_store, sasl_login
from pipeline.topic_ids import TopicIds
from pipeline.topology import LANDING_STREAMS, LandingStream, topic_name
from pipeline.transport import BatchConsumer, BatchSchema, BatchTransport
from schemas.errors import SettingError
from schemas.tables import load_table
from sinks.dead_letters import DeadLetters
from sinks.lake import LakeTable

# Of the ten seconds that a stopping worker has.
CLOSE_SECS_MAX = 6.0


class WorkerApp(faust.App):
    """A Faust app that lands what it has taken in before it stops."""

    runner: Runner

    async def on_stop(self) -> None:
        await self.runner.close(CLOSE_SECS_MAX)
        await super().on_stop()


def build_worker(settings: Settings, metrics: WorkerMetrics, run_step: Callable[[str], None] = lambda step: None) -> WorkerApp:
    """Wire one worker; its tables are created or brought to this release's schema. Nothing runs yet.

    `run_step` is called with the name of each step of landing before it is done; tests stop or kill there.

    Raises SettingError when there can be no folder HEADWATER_HOME.
    """
    topics = {topic_name(settings, stream.topic): stream for stream in LANDING_STREAMS}
    _make_home(settings)
    app = build_app(settings)
    streams = [build_stream(settings, name, stream) for name, stream in topics.items()]

    async def commit_offsets(offsets: Mapping[TP, int]) -> None:
        await cast(BatchConsumer, app.consumer)._commit(offsets)

    app.runner = Runner(settings, streams, metrics, TopicIds(settings), commit_offsets, run_step)
    app.runner.stop_worker = lambda: os.kill(os.getpid(), signal.SIGTERM)
    app.transport = BatchTransport(app.conf.broker_consumer, app, app.runner)
    for name in topics:
        bind_agent(app, name)
    app.task(app.runner.flush_forever)
    return app


def bind_agent(app: WorkerApp, topic: str) -> None:
    """The agent `ingest` of one topic: it hands every batch to the runner, which waits when too much is held."""

    async def ingest(batches: AsyncIterable[Batch]) -> None:
        async for batch in batches:
            await app.runner.add(batch)

    app.agent(app.topic(topic, schema=BatchSchema(), acks=False), name=f"ingest-{topic}")(ingest)


def build_app(settings: Settings) -> WorkerApp:
    """The Faust app: no changelog tables, no web server, no topics of its own."""
    session_secs = settings.worker_session_secs
    return WorkerApp(
        settings.worker_group,
        broker=[yarl.URL(f"kafka://{server.strip()}") for server in settings.kafka_servers.split(",")],
        broker_credentials=_credentials(settings),
        broker_session_timeout=session_secs,
        broker_heartbeat_interval=session_secs / 3,
        broker_rebalance_timeout=session_secs,
        broker_request_timeout=max(30.0, session_secs + 5),
        broker_max_poll_interval=24 * 3600,
        consumer_group_instance_id=settings.worker_instance or None,
        # How soon partitions that were added are seen, and a topic that was made anew.
        consumer_metadata_max_age_ms=5_000,
        # Batches, not events: bytes are bounded by the runner.
        stream_buffer_maxsize=8,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=str(settings.home / "faust"),
        store="memory://",
    )


def build_stream(settings: Settings, name: str, stream: LandingStream) -> Stream:
    """The tables, dedup windows and steps of one landing stream."""
    store = build_store(settings)
    events = LakeTable(store, load_table(stream.table).with_promoted(settings.promoted_attributes))
    dead_letters = DeadLetters(store, load_table("dead_letters"))
    for table in (events, dead_letters):
        table.ensure()
    connection = build_connection()
    windows = Windows(
        events,
        connection,
        settings.home / "spill",
        MemoryBudget(settings.dedup_memory_bytes_max),
        settings.dedup_window_hours * 3600,
    )
    landing = Landing(name, events, dead_letters, settings.start_offset, settings.upload_secs_max, time.monotonic)
    return Stream(name, Ingest(name, landing, windows, build_rules(settings), connection))


def build_rules(settings: Settings) -> StepRules:
    """Settings made into the rules of the steps.

    Raises SettingError when values shall be hashed and there is no key to hash them with.
    """
    redact_key = settings.redact_key.get_secret_value() or settings.local_secret("redact_key")
    if settings.redact_hashed and not redact_key:
        raise SettingError(
            "REDACT_KEY", "", "a secret to hash with, since HEADWATER_REDACT_HASHED names values; or run 'headwater up', which makes one"
        )
    redact = RedactRules(frozenset(settings.redact_removed), frozenset(settings.redact_hashed), redact_key.encode())
    return StepRules(
        redact=redact,
        validate=ValidateRules(settings.message_bytes_max, keeps_unreadable=not redact.is_on),
        deduplicate=DedupRules(settings.dedup_window_hours * 3600, settings.dedup_bytes_kept),
        enrich=EnrichRules(
            enabled=frozenset(settings.enrichments),
            promoted_attributes=settings.promoted_attributes,
            internal_endpoints=settings.internal_endpoints,
            internal_networks=settings.internal_networks,
        ),
        is_dedup_on=settings.dedup_enabled,
        late_secs=settings.late_hours * 3600,
        future_secs=settings.future_secs,
    )


def build_connection() -> duckdb.DuckDBPyConnection:
    """DuckDB for the steps: in memory, both cores, no extension looked for on the network."""
    config: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "threads": 2,
        "memory_limit": "1GB",
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set preserve_insertion_order = true")
    return connection


def _make_home(settings: Settings) -> None:
    """A worker with servers of one's own has no local stack that made it."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            "HOME", settings.home, f"a folder that can be made and written ({error.strerror}), for example .headwater"
        ) from None


def _credentials(settings: Settings) -> Any:
    context, login = build_ssl_context(settings), sasl_login(settings)
    if login:
        return faust.SASLCredentials(mechanism=login[0], username=login[1], password=login[2], ssl_context=context)
    return faust.SSLCredentials(context) if context else None
