"""Merges the endpoint updates that landed since into a new snapshot: table endpoint_states, replaced whole in one commit."""

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from agents.land import Position
from pipeline.bare_duckdb import open_duckdb
from pipeline.endpoints.horizon import read_new_updates, read_waiting
from pipeline.endpoints.merge import EndpointStates
from pipeline.endpoints.snapshot import read_covered, read_states
from pipeline.maintenance.compact import GROUP_ROWS, Tenure
from pipeline.maintenance.rules import MaintainRules
from schemas.errors import UnavailableError
from sinks.compacted_parquet import CompactedFile
from sinks.kept_table import KeptTable, LakeFile
from sinks.lake import CommitRefusedError, LakeTable, Upload

log = logging.getLogger("headwater.maintain")

# Of some 60 bytes a row; a snapshot of many millions is several files.
_FILE_ROWS = 2_000_000

# The least margin: a snapshot is in no hurry, and what comes after it too late for its place in the order can be put there no more.
_MARGIN_SECS_MIN = 60.0

AskEnds = Callable[[], Mapping[Position, int]]


@dataclass(frozen=True)
class MergedUpdates:
    """What a new snapshot took: updates, and how many of them came too late for their place in the order."""

    count: int = 0
    late_count: int = 0


def merge_endpoint_states(
    updates: LakeTable,
    states: KeptTable,
    ask_ends: AskEnds,
    tenure: Tenure,
    rules: MaintainRules,
    folder: Path,
    clock: Callable[[], float],
) -> Generator[str, None, MergedUpdates]:
    """One commit: the snapshot with what landed since, once that is much or old; returns what was merged.

    Both tables as of their last refresh. Yields a step's name before each effect. Whatever happens before the commit leaves an
    upload that no commit names: the views merge the same updates themselves. While Kafka does not answer there is no new snapshot,
    since nobody knows then what has not landed.

    Raises RivalError when another maintainer was quicker.
    """
    began = clock()
    covered, as_of = read_covered(states)
    waiting = read_waiting(updates, covered)
    if waiting.row_count < rules.endpoint_rows_min and (
        waiting.oldest_at is None or began - waiting.oldest_at.timestamp() < rules.endpoint_secs_max
    ):
        return MergedUpdates()
    try:
        ends = ask_ends()
    except UnavailableError as error:
        log.warning("There is no new snapshot of endpoints, %d updates wait for it: %s", waiting.row_count, error)
        return MergedUpdates()
    before = states.files()
    yield "before endpoint_states read"
    with ExitStack() as stack:
        merging = EndpointStates(stack.enter_context(_open_duckdb(folder, rules)), is_indexed=False)
        merging.load(read_states(states))
        merged = late = 0
        margin = timedelta(seconds=max(rules.endpoint_order_secs, _MARGIN_SECS_MIN))
        for batch in read_new_updates(updates, covered, as_of, lambda: ends, lambda: began, margin):
            merging.merge(batch.rows)
            merging.cover(batch.offsets, batch.until)
            merged += batch.rows.num_rows
            late += batch.late_count
        if not merged:
            return MergedUpdates()
        files = _write_files(merging.rows(), states.schema.arrow, folder, stack)
        yield "before endpoint_states upload"
        uploads = [file.upload(states, {}) for file in files]
    yield "before endpoint_states commit"
    if time.monotonic() - uploads[0].uploaded_at > rules.upload_secs_max:
        # A full vacuum may have taken it for an orphan: it stays one.
        return MergedUpdates()
    is_done = yield from _commit(states, before, uploads, tenure, clock())
    return MergedUpdates(merged, late) if is_done else MergedUpdates()


def _commit(states: KeptTable, before: Sequence[LakeFile], uploads: list[Upload], tenure: Tenure, now: float) -> Generator[str, None, bool]:
    try:
        states.replace(before, uploads, tenure.transaction(), now, is_data_change=True)
    except CommitRefusedError:
        tenure.settle(is_refused=True)
        return False
    yield "after endpoint_states commit"
    return tenure.settle()


def _open_duckdb(folder: Path, rules: MaintainRules) -> duckdb.DuckDBPyConnection:
    """A DuckDB for the states alone: what its memory does not hold it writes beside the other spilled files."""
    folder.mkdir(parents=True, exist_ok=True)
    return open_duckdb(memory_limit=f"{rules.endpoint_memory_bytes}B", temp_directory=str(folder), preserve_insertion_order=True)


def _write_files(rows: pa.RecordBatchReader, schema: pa.Schema, folder: Path, stack: ExitStack) -> list[CompactedFile]:
    """The rows in files of so many; held at once is one row group."""
    files: list[CompactedFile] = []
    room = 0
    for batch in rows:
        if room <= 0:
            files.append(stack.enter_context(CompactedFile(folder, GROUP_ROWS)))
            room = _FILE_ROWS
        files[-1].add(pa.Table.from_batches([batch]).cast(schema))
        room -= batch.num_rows
    return files
