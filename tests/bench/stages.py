"""What each stage costs, alone: one process over batches captured from the topic, each stage timed by the CPU of all its threads."""

import asyncio
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import aiokafka
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import agents.validate
import sinks.lake
from agents.batch import Batch, build_records
from agents.buffer import Buffer
from agents.decode_avro import decode_records
from agents.dedup.window import KeyWindow, MemoryBudget
from agents.deduplicate import deduplicate_batch
from agents.enrich import Enricher
from agents.redact import redact_records
from agents.validate import validate_batch
from pipeline import record_batches, transport
from pipeline.config import Settings
from pipeline.event_stream import build_connection, build_event_rules
from pipeline.simulate.encoding import build_encode
from pipeline.stores import build_store
from pipeline.topic_ids import find_topic
from pipeline.topology import RAW_EVENTS, topic_name
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.bench.ground import Cost, open_scene, preload
from tests.bench.rows import Row, Sizes

# In the order of the table; those with two spaces in front are parts of the one above.
STAGES = (
    *("fetch", "records and hashes", "avro (none is)", "redact (off)", "validate"),
    *("  pre-scan and decode, one pass", "  read strictly"),
    *("deduplicate", "enrich", "encode", "upload", "commit"),
)
# Parts of `validate`, each with the name that agents.validate calls it by; one that is not there any more is left out.
ENCODE = "encode_parquet"
VALIDATE_PARTS = {"pre-scan and decode, one pass": "read_columns", "read strictly": "read_strictly"}


def measure_stages(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """A row for each stage, over the events of one topic of four partitions."""
    with open_scene(ground, "stages", flush_secs_max=600) as settings:
        preload(settings, sizes.stage_events)
        costs: defaultdict[str, Cost] = defaultdict(Cost)
        batches = asyncio.run(fetch_batches(settings, sizes.stage_events, costs["fetch"]))
        with _timed_parts(costs):
            count = run_stages(settings, batches, sizes.window_keys, costs)
        fetched = sum(batch.record_count for batch in batches)
        mean_bytes = sum(chunk.values.size_bytes for batch in batches for chunk in batch.chunks) / fetched
        costs["fetch"].scale(count / fetched)
    total = Cost()
    for name in STAGES:
        cost = costs[name]
        if not name.startswith("  "):
            total.cpu_secs += cost.cpu_secs
            total.wall_secs += cost.wall_secs
        elif not cost.cpu_secs:
            continue
        note = {"fetch": f"{mean_bytes:.0f} bytes an event", "deduplicate": f"{sizes.window_keys:,} keys in the windows"}.get(name, "")
        yield _row(name, cost, count, note)
    yield _row("sum of the stages", total, count, "one after the other, in one process")
    yield from _measure_avro(settings, batches, total, count)


def _measure_avro(settings: Settings, batches: Sequence[Batch], json_total: Cost, json_count: int) -> Iterator[Row]:
    """What a record costs more that travels as Avro: the same events by stream_record.avsc, one flush of them."""
    rules, write = build_event_rules(settings), build_encode("avro")
    flush = next(group_flushes(batches, settings.flush_bytes_max))
    records = build_records(flush, ["bench"] * len(flush))
    sent = pa.array([write(value) for value in records["value"].to_pylist()], pa.binary())
    records = records.set_column(0, records.schema.field(0), sent)
    cost = Cost()
    for _ in range(2):
        # The first one loads what is loaded once.
        cost = Cost()
        with cost:
            decoded = decode_records(records, rules.avro, rules.validate)
    assert len(decoded.rows) == records.num_rows, "every event of a preload has its places in the schema"
    assert not decoded.verdicts
    size = pc.sum(pc.binary_length(sent)).as_py() / len(sent)
    both = cost.cpu_secs / len(sent) + json_total.cpu_secs / json_count
    yield _row("the same events as Avro: decode", cost, len(sent), f"{size:.0f} bytes an event; with the stages above {both * 1e6:.1f} us")


def _row(what: str, cost: Cost, count: int, note: str) -> Row:
    # What takes less than a hundredth of a microsecond is off, and has no speed.
    speed = count / cost.wall_secs if cost.wall_secs > count * 1e-8 else None
    return Row("stages", what, cost.cpu_secs / count * 1e6, speed, note=note)


async def fetch_batches(settings: Settings, count: int, cost: Cost) -> list[Batch]:
    """The first `count` records or more of raw-events, by the transport's own reader; `cost` has what that took."""
    topic = topic_name(settings, RAW_EVENTS)
    record_batches.install(settings.message_bytes_max)
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_poll_records=100_000,
        fetch_max_bytes=transport.FETCH_BYTES_MAX,
        max_partition_fetch_bytes=transport.PARTITION_FETCH_BYTES_MAX,
        fetch_max_wait_ms=250,
    )
    await consumer.start()
    batches: list[Batch] = []
    try:
        consumer.assign([aiokafka.TopicPartition(topic, number) for number in range(settings.topic_partitions)])
        with cost:
            while sum(batch.record_count for batch in batches) < count:
                fetched = await consumer.getmany(timeout_ms=1000)
                batches += [transport._as_record(tp, chunks, 0).value for tp, chunks in fetched.items()]
    finally:
        await consumer.stop()
    return batches


def run_stages(settings: Settings, batches: Sequence[Batch], window_keys: int, costs: Mapping[str, Cost]) -> int:
    """Every stage of a flush over all batches, in flushes as large as a worker's; `costs` by stage gains what each took.

    The first flush loads what is loaded once (parsers, statements, memory) and is not counted; returns the events of the others.
    """
    topic_id = find_topic(settings, topic_name(settings, RAW_EVENTS)).topic_id
    table = LakeTable(build_store(settings), load_table("events"))
    table.ensure()
    rules, connection = build_event_rules(settings), build_connection()
    enricher = Enricher(connection, rules.enrich)
    windows = _fill_windows(settings, window_keys)
    count = 0
    for number, flushed in enumerate(group_flushes(batches, settings.flush_bytes_max)):
        if number == 1:
            for name in costs.keys() - {"fetch"}:
                costs[name].scale(0)
        with costs["records and hashes"]:
            ordered = sorted(flushed, key=lambda batch: (batch.partition, batch.start))
            records = build_records(ordered, [topic_id] * len(ordered))
        with costs["avro (none is)"]:
            records = decode_records(records, rules.avro, rules.validate).records
        with costs["redact (off)"]:
            records = redact_records(records, rules.redact)
        with costs["validate"]:
            validated = validate_batch(records, rules.validate)
        with costs["deduplicate"]:
            deduplicated = deduplicate_batch(connection, validated.parsed, records, windows, rules.deduplicate)
            for partition, keys in deduplicated.keys.items():
                windows[partition].add(keys)
        with costs["enrich"]:
            events = enricher.enrich(deduplicated.first)
        assert events.num_rows == records.num_rows, "every event of a preload is valid and distinct"
        with costs["upload"]:
            uploads = table.upload(events)
        with costs["commit"]:
            table.refresh()
            table.commit(uploads, {f"{table.name}/{topic_id}/bench": number + 1})
        count += records.num_rows if number else 0
    assert count, "expected events for two flushes or more"
    for window in windows.values():
        window.close()
    # LakeTable encodes and uploads in one call; what it took less what encoding took inside it is the upload.
    costs["upload"].cpu_secs -= costs["encode"].cpu_secs
    costs["upload"].wall_secs -= costs["encode"].wall_secs
    return count


def group_flushes(batches: Sequence[Batch], bytes_max: int) -> Iterator[list[Batch]]:
    """The batches as a worker's buffer gives them to its flushes."""
    buffer = Buffer()
    buffer.reset({(batch.topic, batch.partition): batch.start for batch in reversed(batches)}, 0)
    for batch in batches:
        buffer.offer(batch)
    while not buffer.is_empty:
        yield buffer.take(bytes_max)


def _fill_windows(settings: Settings, key_count: int) -> dict[int, KeyWindow]:
    """A window for each partition, holding `key_count` random keys together."""
    budget, rng = MemoryBudget(settings.dedup_memory_bytes_max), np.random.default_rng(1)
    windows = {number: KeyWindow(settings.home / "spill", budget) for number in range(settings.topic_partitions)}
    for window in windows.values():
        left = key_count // len(windows)
        while left:
            some = min(left, 1_000_000)
            ids, rests = (rng.integers(0, 2**64, some, np.uint64) for _ in range(2))
            window.learn(np.sort(ids), rests, np.full(some, 1_700_000_000_000_000))
            left -= some
    return windows


@contextmanager
def _timed_parts(costs: Mapping[str, Cost]) -> Iterator[None]:
    """Inside it the parts of `validate` are timed too, under their names with two spaces in front, and encoding within the upload."""

    def timed(cost: Cost, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def run(*given: Any, **named: Any) -> Any:
            with cost:
                return call(*given, **named)

        return run

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(sinks.lake, ENCODE, timed(costs["encode"], getattr(sinks.lake, ENCODE))))
        for what, name in VALIDATE_PARTS.items():
            if hasattr(agents.validate, name):
                stack.enter_context(mock.patch.object(agents.validate, name, timed(costs[f"  {what}"], getattr(agents.validate, name))))
        yield
