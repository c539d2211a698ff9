"""How soon an event can be asked for: from Kafka's append until a DuckDB query over the lake sees it, at half load."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import confluent_kafka
import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.ask.lake_relations import create_lake
from pipeline.ask.sql_text import quoted
from pipeline.config import Settings
from pipeline.stores import build_store, confluent_options
from pipeline.topology import RAW_EVENTS, topic_name
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.bench.ground import open_scene, preload, start_headwater
from tests.bench.path import measure_workers, wait_for_landed
from tests.bench.rows import Budget, Row, Sizes
from tests.worker_process import WorkerProcess, running

# Of so many offsets one event is asked for.
SAMPLED = 50
POLL_SECS = 0.1
# What comes first meets caches that are cold.
WARM_SECS = 3.0
WARM_EVENTS = 2_000
SECS_MAX = 300
_LAST_SEEN = "select _partition, max(_offset), max(_appended_at) from seen where _appended_at >= $1 group by all"
Sighting = tuple[float, dict[int, int]]


def measure_freshness(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """Percentiles over sampled events, while half of what the worker can land arrives."""
    most = find_speed(before) or measure_speed(ground, sizes)
    rate = int(most / 2)
    with open_scene(ground, "freshness") as settings:
        worker = WorkerProcess(settings, settings.home)
        with running(worker):
            # It has its partitions, and the table is there, once a first event has landed.
            preload(settings, WARM_EVENTS, seed=2)
            wait_for_landed([worker], WARM_EVENTS)
            sender = start_headwater(
                settings, "simulate", "--preload", str(int(rate * sizes.freshness_secs)), "--rate", str(rate), "--users", "20000"
            )
            try:
                began = time.time()
                sightings = watch(settings, sender)
            finally:
                sender.kill()
                sender.wait()
            ages = find_ages(settings, sightings, began)
    note = f"{rate:,} events/s arrive, half of {most:,.0f}; {len(ages):,} events asked for, {len(sightings)} queries"
    for share, budget in ((50, None), (95, None), (99, Budget("value", 2.0))):
        yield Row("freshness", f"p{share}", value=float(np.percentile(ages, share)), unit="s", budget=budget, note=note)


def find_speed(rows: Sequence[Row]) -> float | None:
    """What one worker landed of four partitions, events a second, if this run has measured it."""
    return next((row.events_per_sec for row in rows if (row.section, row.what) == ("path", "1 worker, 4 partitions")), None)


def measure_speed(ground: Settings, sizes: Sizes) -> float:
    """The same, measured now."""
    with open_scene(ground, "speed") as settings:
        preload(settings, sizes.path_events)
        (row, *_) = measure_workers(ground, settings, sizes.path_events, "speed")
    assert row.events_per_sec is not None
    return row.events_per_sec


def watch(settings: Settings, sender: subprocess.Popen[bytes]) -> list[Sighting]:
    """Ask over and over for the last offset of each partition that a query sees, until the sender has ended and all of it is seen.

    As a server of queries does: the table is pinned anew for each query. (when the answer was there, last offset by partition)
    """
    store = build_store(settings, is_reader=True)
    con = duckdb.connect(config={"threads": 1})
    create_lake(con, store, ())
    sightings: list[Sighting] = []
    since, ends = datetime.fromtimestamp(0, UTC), None
    give_up = time.monotonic() + SECS_MAX
    while ends is None or any(sightings[-1][1].get(partition, -1) < end - 1 for partition, end in ends.items()):
        if time.monotonic() > give_up:
            raise TimeoutError(f"after {SECS_MAX} s queries do not see all that was sent")
        time.sleep(POLL_SECS)
        ends = find_ends(settings) if ends is None and sender.poll() is not None else ends
        con.execute(f"attach {quoted(store.uri('lake/events'))} as seen (type delta, pin_snapshot)")
        rows = con.execute(_LAST_SEEN, [since]).fetchall()
        sightings.append((time.time(), {partition: offset for partition, offset, _ in rows}))
        con.execute("detach seen")
        # What every partition is past need not be read again.
        since = min((appended_at for _, _, appended_at in rows), default=since)
    con.close()
    return sightings


def find_ends(settings: Settings) -> dict[int, int]:
    """The offset after the last record of each partition that has one."""
    topic = topic_name(settings, RAW_EVENTS)
    consumer = confluent_kafka.Consumer(confluent_options(settings) | {"group.id": "ends"})
    partitions = range(settings.topic_partitions)
    found = {number: consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, number), 30)[1] for number in partitions}
    consumer.close()
    return {partition: end for partition, end in found.items() if end}


def find_ages(settings: Settings, sightings: Sequence[Sighting], began: float) -> npt.NDArray[np.float64]:
    """Seconds from append until seen, of the sampled events that were appended from WARM_SECS after the first one sent after `began` (since 1970)."""
    table = LakeTable(build_store(settings), load_table("events"))
    table.refresh()
    rows = table.dataset().to_table(columns=["_partition", "_offset", "_appended_at"])
    appended = rows["_appended_at"].cast(pa.int64()).to_numpy() / 1e6
    unit = rows.schema.field("_appended_at").type.unit
    assert unit == "us", unit
    partitions, offsets = rows["_partition"].to_numpy(), rows["_offset"].to_numpy()
    is_sampled = (offsets % SAMPLED == 0) & (appended >= appended[appended >= began].min() + WARM_SECS)
    times = np.array([at for at, _ in sightings])
    ages = []
    for partition in np.unique(partitions).tolist():
        chosen = is_sampled & (partitions == partition)
        # The last offset seen only grows, so the first query that saw an event is found by its place.
        seen = np.maximum.accumulate([last.get(partition, -1) for _, last in sightings])
        first = np.searchsorted(seen, offsets[chosen])
        ages.append(times[first] - appended[chosen])
    return np.concatenate(ages)
