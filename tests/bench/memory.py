"""What a full dedup window costs: the worker's memory at full load, and the time in which a cold window is read back from the lake."""

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa

from pipeline.cli import COMMANDS
from pipeline.config import Settings
from pipeline.stack.programs import environment
from pipeline.stores import build_store
from pipeline.topic_ids import find_topic
from pipeline.topology import RAW_EVENTS, topic_name
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.bench.ground import open_scene, preload, run_maintenance
from tests.bench.path import wait_for_landed
from tests.bench.rows import Budget, Row, Sizes
from tests.stream import metrics
from tests.worker_process import WorkerProcess, running

FILE_ROWS = 500_000
ENDPOINTS = 20_000
# Of a topic that was there before: its keys belong where the present partitions say.
TOPIC_ID = "A" * 22
# The window is seven days: keys lie in the last six of them.
DAYS = 6


def measure_memory(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """Rows for a cold start without and with maintenance's snapshot, and for the worker's peak."""
    keys = sizes.window_keys
    named = f"{keys / 1e6:g} million keys"
    budget = Budget("value", 4.0) if keys == 10_000_000 else None
    with open_scene(ground, "memory") as settings:
        land_keys(settings, keys)
        secs = rebuild_window(settings, keys)
        note = "from the rows of the lake"
        has_maintenance = "maintain" in COMMANDS
        yield Row("memory", f"cold window, {named}", value=secs, unit="s", budget=None if has_maintenance else budget, note=note)
        if has_maintenance:
            run_maintenance(settings)
            secs = rebuild_window(settings, keys)
            note = "after headwater maintain --once"
            yield Row("memory", f"cold window, {named}, with the snapshot", value=secs, unit="s", budget=budget, note=note)
        preload(settings, sizes.path_events)
        worker = WorkerProcess(settings, settings.home)
        with running(worker):
            assert worker.process is not None
            process = psutil.Process(worker.process.pid)
            wait_for_landed([worker], sizes.path_events)
            peak, held = read_peak(process), metrics(worker)["headwater_dedup_keys"]
        limit = Budget("value", 512.0) if keys == 10_000_000 else None
        note = f"{held:,.0f} keys in the window at the end, {sizes.path_events:,} events landed at full load"
        yield Row("memory", f"worker's peak, {named}", value=peak / 1e6, unit="MB", budget=limit, note=note)


def land_keys(settings: Settings, count: int) -> None:
    """Land rows that have `count` distinct keys and no more than a row must have, straight into the table, as of the last days."""
    schema = load_table("events")
    table = LakeTable(build_store(settings), schema)
    table.ensure()
    rng = np.random.default_rng(1)
    endpoints = pa.array([str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(ENDPOINTS)])
    uploads = []
    for number, start in enumerate(range(0, count, FILE_ROWS)):
        rows = min(FILE_ROWS, count - start)
        day = datetime.now(UTC) - timedelta(days=1 + number % DAYS)
        appended = pa.array(np.full(rows, int(day.timestamp() * 1e6)), pa.timestamp("us", tz="UTC"))
        columns = {
            "event_id": make_ids(rng, rows),
            "event_type": pa.array(["product.view"]).take(pa.array(np.zeros(rows, np.int64))),
            "event_timestamp": appended,
            "app_id": pa.array(["shop"]).take(pa.array(np.zeros(rows, np.int64))),
            "endpoint_id": endpoints.take(pa.array(rng.integers(0, ENDPOINTS, rows))),
            "_topic_id": pa.repeat(TOPIC_ID, rows),
            "_partition": pa.array(np.zeros(rows, np.int32)),
            "_offset": pa.array(np.arange(start, start + rows)),
            "_appended_at": appended,
            "_payload_hash": pa.array(np.zeros(rows, np.int64)),
            "arrival_date": pa.repeat(pa.scalar(day.date()), rows),
        }
        empty = pa.array(np.zeros(rows + 1, np.int32))
        for name in ("attributes", "metrics"):
            kind = schema.arrow.field(name).type
            columns[name] = pa.MapArray.from_arrays(empty, pa.array([], kind.key_type), pa.array([], kind.item_type))
        arrays = [columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type) for field in schema.arrow]
        uploads += table.upload(pa.Table.from_arrays(arrays, schema=schema.arrow))
    table.refresh()
    # As landing does: the position tells readers up to where the rows of a partition are there.
    table.commit(uploads, {f"{table.name}/{TOPIC_ID}/0": count})


def make_ids(rng: np.random.Generator, count: int) -> pa.Array:
    """Random UUIDs as text, without an object for each."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[rng.integers(0, 16, (count, 32), np.uint8)]
    text: npt.NDArray[np.uint8] = np.full((count, 36), ord("-"), np.uint8)
    for start, stop, place in ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)):
        text[:, place : place + stop - start] = digits[:, start:stop]
    text[:, 14], text[:, 19] = ord("4"), ord("a")
    offsets = pa.py_buffer(np.arange(count + 1, dtype=np.int32) * 36)
    return pa.Array.from_buffers(pa.string(), count, [None, offsets, pa.py_buffer(text.tobytes())])


def rebuild_window(settings: Settings, expected: int) -> float:
    """Seconds to fill the windows of all partitions, with `expected` keys, in a process of its own, as a worker that has just started does."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.memory"],
        env=os.environ | environment(settings),
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the window could not be rebuilt: {done.stderr[-2000:]}")
    secs, keys = done.stdout.split()
    if int(keys) != expected:
        raise RuntimeError(f"the window has {keys} keys; expected {expected}, as many as have landed")
    return float(secs)


def read_peak(process: psutil.Process) -> int:
    """Bytes of memory that a process has had at most, by the kernel's account; where there is none, what it has now."""
    status = Path(f"/proc/{process.pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else int(process.memory_info().rss)


def _rebuild() -> None:
    """What `rebuild_window` starts: prints seconds and keys."""
    from agents.land import Position, Range
    from pipeline.config import load_settings
    from pipeline.event_stream import build_event_steps

    settings = load_settings()
    state = find_topic(settings, topic_name(settings, RAW_EVENTS))
    windows = build_event_steps(settings, LakeTable(build_store(settings), load_table("events"))).windows
    numbers = range(state.partition_count)
    began = time.perf_counter()
    windows.assign(state.topic_id, dict.fromkeys(numbers, 0), state.partition_count)
    windows.ready([Range(Position(state.topic_id, number), 0, 0, 0) for number in numbers], datetime.now(UTC))
    print(time.perf_counter() - began, windows.key_count)


if __name__ == "__main__":
    _rebuild()
