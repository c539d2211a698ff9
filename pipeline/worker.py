"""One worker: settings made into tables and steps, and a Faust app whose agents hand batches to the runner."""

import os
import signal
import time
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any, cast

import faust
import yarl
from faust.types import TP

from agents.batch import Batch
from agents.dedup.window import MemoryBudget
from agents.ingest import Ingest, Steps
from agents.land import Landing
from pipeline.config import Settings
from pipeline.endpoint_stream import build_endpoint_steps
from pipeline.event_stream import build_event_steps
from pipeline.loop_lag import watch_loop_lag
from pipeline.metrics import WorkerMetrics
from pipeline.rejected_stream import build_rejected_steps
from pipeline.runner import Runner
from pipeline.stores import build_ssl_context, build_store, sasl_login
from pipeline.takeover import Stream
from pipeline.topic_ids import TopicIds
from pipeline.topology import LANDING_STREAMS, LANDING_TABLES, LandingStream, topic_name
from pipeline.transport import BatchConsumer, BatchSchema, BatchTransport
from schemas.errors import SettingError
from schemas.tables import TableSchema, load_table
from sinks.dead_letters import DeadLetters
from sinks.lake import LakeTable

# What makes rows of a landing stream's records, by the name that the topology has for it.
STEPS: dict[str, Callable[[Settings, LakeTable, MemoryBudget], Steps]] = {
    "events": build_event_steps,
    "rejected": build_rejected_steps,
    "endpoints": build_endpoint_steps,
}

# How much larger than MESSAGE_BYTES_MAX a value may be and still be looked into: an envelope of rejected-events holds a message of that size as base64,
# or as a text full of escapes. Of larger ones nothing but size and hash is carried along.
CARRIED_FACTOR = 4

# A member hears of a rebalance by its heartbeat, and until the last one has heard the others stand still.
HEARTBEAT_SECS_MAX = 1.0

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
    _make_home(settings)
    app = build_app(settings)
    streams = build_streams(settings)

    async def commit_offsets(offsets: Mapping[TP, int]) -> None:
        await cast(BatchConsumer, app.consumer)._commit(offsets)

    async def watch_loop() -> None:
        await watch_loop_lag(metrics)

    app.runner = Runner(settings, streams, metrics, TopicIds(settings), commit_offsets, run_step)
    app.runner.thread.stop_worker = lambda: os.kill(os.getpid(), signal.SIGTERM)
    app.transport = BatchTransport(app.conf.broker_consumer, app, app.runner, CARRIED_FACTOR * settings.message_bytes_max)
    for stream in streams:
        bind_agent(app, stream.topic)
    app.task(app.runner.flush_forever)
    app.task(watch_loop)
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
        broker_heartbeat_interval=min(session_secs / 3, HEARTBEAT_SECS_MAX),
        broker_rebalance_timeout=session_secs,
        # Faust gives up for good what takes longer after a rebalance, and the worker would hold partitions and land nothing: taking them over
        # waits out outages of the lake and of Kafka. Requests have a limit of their own, in pipeline.transport.
        broker_request_timeout=24 * 3600,
        broker_max_poll_interval=24 * 3600,
        consumer_group_instance_id=settings.worker_instance or None,
        # How soon partitions that were added are seen, and a topic that was made anew.
        consumer_metadata_max_age_ms=5_000,
        # Batches, not events: bytes are bounded by the runner.
        stream_buffer_maxsize=2,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=str(settings.home / "faust"),
        store="memory://",
    )


def build_streams(settings: Settings) -> list[Stream]:
    """The tables and the steps of every landing stream; settings that cannot be used are found before a table is touched.

    Streams of one table share the handle on it: all of them land in one thread, each refreshes it before it commits, and a stream that
    was idle for a day has not a day's versions to catch up with.
    """
    store = build_store(settings)
    tables = {name: LakeTable(store, _schema_of(settings, name)) for name in LANDING_TABLES}
    dead_letters = DeadLetters(store, load_table("dead_letters"))
    budget = MemoryBudget(settings.dedup_memory_bytes_max)
    steps = [STEPS[stream.steps](settings, tables[stream.table], budget) for stream in LANDING_STREAMS]
    for table in (*tables.values(), dead_letters):
        table.ensure()
    return [
        build_stream(settings, stream, made, tables[stream.table], dead_letters)
        for stream, made in zip(LANDING_STREAMS, steps, strict=True)
    ]


def _schema_of(settings: Settings, name: str) -> TableSchema:
    """A landing table's columns; attributes are promoted from events."""
    schema = load_table(name)
    return schema.with_promoted(settings.promoted_attributes) if name == "events" else schema


def build_stream(settings: Settings, stream: LandingStream, steps: Steps, rows: LakeTable, dead_letters: DeadLetters) -> Stream:
    """One landing stream over tables that are there."""
    name = topic_name(settings, stream.topic)
    landing = Landing(name, rows, dead_letters, settings.start_offset, settings.upload_secs_max, time.monotonic)
    return Stream(name, Ingest(name, landing, steps))


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
