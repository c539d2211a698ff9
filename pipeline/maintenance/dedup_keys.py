"""Extends the snapshot of dedup keys by what has landed since, and lets folders go that have left the window."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from agents.dedup.snapshot import (
    NAME,
    Coverage,
    build_snapshot_rows,
    is_of,
    key_columns,
    parse_positions,
    read_coverage,
    read_landed_offsets,
)
from agents.land import Position
from pipeline.maintenance.compact import GROUP_ROWS, Tenure
from pipeline.maintenance.rules import MaintainRules
from sinks.compacted_parquet import CompactedFile, sort_rows
from sinks.dataset import read_tables
from sinks.kept_table import KeptTable
from sinks.lake import CommitRefusedError, LakeTable, Upload

_NOTHING = Coverage(date.min, {})


def extend_dedup_keys(
    events: LakeTable, keys: KeptTable, con: duckdb.DuckDBPyConnection, tenure: Tenure, rules: MaintainRules, folder: Path, now: float
) -> Generator[str, None, int]:
    """One commit: the keys of rows that landed since, what is covered by then, and folders that leave; returns the keys added.

    Both tables as of their last refresh. A snapshot of another table or other hashes is replaced whole. Yields a step's name
    before each effect. Raises RivalError when another maintainer was quicker.
    """
    before = read_coverage(keys, events.id())
    first = max(_oldest_folder(rules, now), before.complete_from if before else date.min)
    landed = read_landed_offsets(events)
    after = Coverage(first, landed)
    # What another table `events` had landed must not count as covered once a partition of that name lands here.
    reset = {} if before else dict.fromkeys((each.app_id(NAME) for each in parse_positions(NAME, keys.transactions())), 0)
    files = keys.files()
    leaving = [file for file in files if before is None or file.partition_values["arrival_date"] < first.isoformat()]
    if after == before and not leaving:
        return 0
    with ExitStack() as stack:
        yield "before dedup_keys read"
        batches = _new_rows(events, before or _NOTHING, after)
        written = _write_keys(((rows["arrival_date"], build_snapshot_rows(con, rows)) for rows in batches), folder, rules, stack)
        yield "before dedup_keys upload"
        uploads = [file.upload(keys, {"arrival_date": day.isoformat()}) for day, file in written.items()]
    yield "before dedup_keys commit"
    try:
        transactions = reset | after.transactions(events.id()) | tenure.transaction()
        keys.replace(leaving, uploads, transactions, now, is_data_change=True)
    except CommitRefusedError:
        tenure.settle(is_refused=True)
        return 0
    yield "after dedup_keys commit"
    return _count(uploads) if tenure.settle() else 0


def _count(uploads: list[Upload]) -> int:
    return sum(upload.row_count for upload in uploads)


def _oldest_folder(rules: MaintainRules, now: float) -> date:
    """A day more than the window, for workers that lag a little; one that lags more reads the rest from the events."""
    return (datetime.fromtimestamp(now, UTC) - timedelta(seconds=rules.dedup_window_secs)).date() - timedelta(days=1)


def _new_rows(events: LakeTable, before: Coverage, after: Coverage) -> Iterator[pa.Table]:
    """Rows of the folders that are kept, with offsets from what was covered up to what is to be."""
    is_new = ds.scalar(False)
    for position, offset in after.offsets.items():
        if offset > _covered(before.offsets, position):
            is_new |= is_of(position) & (ds.field("_offset") >= _covered(before.offsets, position)) & (ds.field("_offset") < offset)
    is_wanted = is_new & (ds.field("arrival_date") >= pa.scalar(after.complete_from))
    rows = events.dataset()
    return read_tables(rows, [*key_columns(rows), "arrival_date"], is_wanted)


def _covered(offsets: Mapping[Position, int], position: Position) -> int:
    return offsets.get(position, 0)


def _write_keys(
    batches: Iterator[tuple[pa.ChunkedArray, pa.Table]], folder: Path, rules: MaintainRules, stack: ExitStack
) -> dict[date, CompactedFile]:
    """A file for each day, in stretches of ascending ids. Held at once is one stretch, whatever the number of days."""
    files: dict[date, CompactedFile] = {}
    held: dict[date, list[pa.Table]] = {}
    held_bytes = 0

    def write() -> None:
        for day, parts in held.items():
            if day not in files:
                files[day] = stack.enter_context(CompactedFile(folder, GROUP_ROWS))
            files[day].add(sort_rows(pa.concat_tables(parts), ["id"]))
        held.clear()

    for days, rows in batches:
        for day in pc.unique(days).to_pylist():
            held.setdefault(day, []).append(rows.filter(pc.equal(days, pa.scalar(day))))
        held_bytes += rows.nbytes
        if held_bytes >= rules.stretch_bytes:
            write()
            held_bytes = 0
    write()
    return files
