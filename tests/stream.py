"""The stream as a test sees it: records sent to Kafka, rows that landed, and what a worker says of itself."""

import functools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from pipeline.audit import audit_lake, summarize
from pipeline.config import Settings
from pipeline.producer import record_key
from pipeline.stack.readiness import ensure_bucket
from pipeline.stores import build_store, producer_options
from pipeline.topology import RAW_EVENTS, REJECTED_EVENTS, topic_name
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.metrics_page import sum_metrics
from tests.worker_process import WorkerProcess

Record = tuple[bytes, bytes]
# What librdkafka takes for "as the key says".
ANY_PARTITION = -1
_open_tables: dict[tuple[Path, str, str, str], DeltaTable] = {}
GARBAGE: Record = (b"any/key", b"garbage")


def raw_events(settings: Settings) -> str:
    """The topic that the worker reads, under this test's prefix."""
    return topic_name(settings, RAW_EVENTS)


def rejected_events(settings: Settings) -> str:
    """The topic of what the collector refused, under this test's prefix."""
    return topic_name(settings, REJECTED_EVENTS)


def beside(settings: Settings) -> Settings:
    """The same topics for a second worker, with a bucket and a group of its own: the control beside the test."""
    other = settings.model_copy(update={"s3_bucket": f"{settings.s3_bucket}-b", "worker_group": f"{settings.worker_group}-b"})
    ensure_bucket(other)
    return other


def event(event_id: str | int, endpoint_id: str = "phone-1", **given: Any) -> Record:
    """Key and value of an event of app shop."""
    record = {
        "event_id": event_id,
        "event_type": "screen.view",
        "event_timestamp": 1764000000000,
        "application": {"app_id": "shop"},
        "client": {"client_id": endpoint_id},
        "attributes": {"screen": "home"},
        "metrics": {"height": 1.5},
    }
    return record_key("shop", endpoint_id, str(event_id)), json.dumps(record | given).encode()


def events(count: int, name: str = "event", endpoints: int = 1) -> list[Record]:
    """So many events, each with an id of its own: event-0, event-1 and so on."""
    return [event(f"{name}-{number}", f"phone-{number % endpoints}") for number in range(count)]


def send(settings: Settings, records: Sequence[Record], partition: int = ANY_PARTITION, timestamp: int = 0, topic: str = "") -> None:
    """Send records, to raw-events unless told otherwise, and wait until Kafka has them; with `partition`, all there."""
    refused: list[object] = []
    producer = confluent_kafka.Producer(producer_options(settings) | {"linger.ms": 1})
    for key, value in records:
        note = functools.partial(_note_refusal, refused)
        producer.produce(topic or raw_events(settings), value, key, partition, timestamp=timestamp, on_delivery=note)
    assert producer.flush(30) == 0
    assert not refused, refused


def _note_refusal(refused: list[object], error: object, _: object) -> None:
    refused += [error] if error is not None else []


def rows(settings: Settings, table: str = "events", columns: Sequence[str] = ("_partition", "_offset")) -> list[tuple[Any, ...]]:
    """Rows of a table of the lake, sorted; none when there is no table yet."""
    lake_table = LakeTable(build_store(settings), load_table(table))
    if not lake_table.exists():
        return []
    lake_table.refresh()
    found = lake_table.dataset().to_table(columns=list(columns))
    return sorted(zip(*(column.to_pylist() for column in found.columns), strict=True), key=repr)


def landed_ids(settings: Settings) -> Counter[str]:
    """How often each event id stands in the table of events."""
    return Counter(event_id for (event_id,) in rows(settings, columns=["event_id"]))


def landed_count(settings: Settings, *tables: str) -> int:
    """Rows of these tables, or of events and dead letters, as their logs count them. Tests ask this often, and a worker beside them needs the time: the tables stay open."""
    return sum(_row_count(settings, table) for table in tables or ("events", "dead_letters"))


def _row_count(settings: Settings, table: str) -> int:
    # A store takes ten milliseconds to make. Stacks of one test each have a bucket of the same name.
    place = (settings.home, settings.s3_endpoint, settings.s3_bucket, table)
    try:
        if place in _open_tables:
            _open_tables[place].update_incremental()
        else:
            store = build_store(settings)
            _open_tables[place] = DeltaTable(store.uri(f"lake/{table}"), storage_options=store.delta_options())
    except TableNotFoundError:
        return 0
    counts = pa.table(_open_tables[place].get_add_actions(flatten=True))["num_records"]
    return sum(counts.to_pylist())


def has_landed(settings: Settings, count: int) -> bool:
    """Whether both tables have so many rows together."""
    return landed_count(settings) == count


def audit(settings: Settings) -> dict[str, Any]:
    """What `headwater audit --json` says."""
    return summarize(audit_lake(settings))


def metrics(worker: WorkerProcess) -> Counter[str]:
    """The samples of /metrics by name, summed over their labels."""
    return sum_metrics(worker.metrics_port)


def lines(log: Path, *words: str) -> list[str]:
    """Lines of a log that have all these words."""
    return [line for line in log.read_text().splitlines() if all(word in line for word in words)]
