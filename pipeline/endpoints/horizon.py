"""The updates that landed since, in the order of acceptance: only up to the moment until which every partition has landed, and in batches.

Merged in any other order, a lagging partition's update would win over a later one, or lose against an earlier one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from agents.dedup.snapshot import is_of, read_landed_offsets
from agents.land import Position
from sinks.dataset import read_tables
from sinks.lake import LakeTable

_TICK = timedelta(milliseconds=1)
BATCH_ROWS = 100_000
_TIME = pa.timestamp("us", tz="UTC")
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Rows of endpoint_updates that are merged together. With them all is merged that was appended at or before `until`.

    `offsets`: of each partition that has rows here the offset after its last, in the last batch of those too of whose records no row is
    left to merge. `late_count`: rows that were appended at or before the moment until which all was said to be merged; they count as the
    latest.
    """

    rows: pa.Table
    offsets: Mapping[Position, int]
    until: datetime
    late_count: int


@dataclass(frozen=True)
class Waiting:
    """The updates that are not merged: how many, and when the oldest was appended."""

    row_count: int
    oldest_at: datetime | None


@dataclass(frozen=True)
class _Tail:
    """What of a partition is not merged: offsets, ascending, and of each the latest append time up to it, microseconds since 1970.

    A broker's clock may go back. By the latest time so far, what is merged of a partition always ends at one offset, and no row is passed over.
    """

    offsets: I64
    times: I64

    def count_until(self, until_us: int) -> int:
        return int(np.searchsorted(self.times, until_us, side="right"))


def read_new_updates(
    table: LakeTable,
    covered: Mapping[Position, int],
    as_of: datetime | None,
    ask_ends: Callable[[], Mapping[Position, int]],
    clock: Callable[[], float],
    margin: timedelta,
    rows_max: int = BATCH_ROWS,
) -> Iterator[Batch]:
    """Batches of about `rows_max` rows that are beyond `covered`, each to be merged and covered before the next; the last may have no rows.

    None at all while nothing is known to be complete. `as_of`: until when all is merged already; `ask_ends`: Kafka's end offset of each
    partition that holds records (pipeline/endpoints/end_offsets.py); `clock`: seconds since 1970; `margin`: what the clock of a broker may be
    behind ours.

    Raises what `ask_ends` raises.
    """
    now = datetime.fromtimestamp(clock(), UTC)
    # In this order: what is appended up to `now` is below the ends, and what is below the ends has landed or is seen to lag.
    ends = ask_ends()
    landed: dict[Position, int] = {}
    if table.exists():
        table.refresh()
        landed = read_landed_offsets(table)
    tails = _read_tails(table, landed, covered)
    last = {position: _moment(int(tail.times[-1])) for position, tail in tails.items()}
    until = complete_until(now, ends, landed, last, as_of, margin)
    if until is None:
        return
    starts = dict.fromkeys(tails, 0)
    for limit_us in _cut(tails, _microseconds(until), rows_max):
        stops = {position: tail.count_until(limit_us) for position, tail in tails.items()}
        batch = _read_batch(table, tails, starts, stops, _moment(limit_us), as_of)
        if limit_us == _microseconds(until):
            # Beyond its rows a partition may hold dead letters and duplicates, which would be looked at again and again.
            done = {
                position: end for position, end in landed.items() if end > covered.get(position, 0) and _is_done(position, tails, stops)
            }
            batch = replace(batch, offsets={**batch.offsets, **done})
        yield batch
        starts, as_of = stops, batch.until


def read_waiting(table: LakeTable, covered: Mapping[Position, int]) -> Waiting:
    """What is beyond `covered` as of the table's last refresh."""
    tails = _read_tails(table, read_landed_offsets(table), covered).values()
    oldest_us = min((int(tail.times[0]) for tail in tails), default=None)
    return Waiting(sum(len(tail.offsets) for tail in tails), None if oldest_us is None else _moment(oldest_us))


def complete_until(
    now: datetime,
    ends: Mapping[Position, int],
    landed: Mapping[Position, int],
    last_appended_at: Mapping[Position, datetime],
    as_of: datetime | None,
    margin: timedelta,
) -> datetime | None:
    """A moment such that every update that was appended at or before it has landed; None when none is known.

    `ends` were asked for after `now`, and `landed` was read after that. `last_appended_at`: of partitions with rows beyond what is merged,
    which is up to `as_of`. `margin`: what a broker's clock may be behind `now`, or a record that it has taken behind the end that it told. A topic that was made anew is in `ends` under its new id; of the old one all has landed that ever will.
    """
    until: datetime | None = now - margin
    for position, end in ends.items():
        if landed.get(position, 0) >= end or until is None:
            continue
        # More was appended at that very moment perhaps, not before it.
        last = last_appended_at.get(position)
        known = last - _TICK if last is not None else as_of
        until = min(until, known) if known is not None else None
    if until is None or as_of is None:
        return until
    return max(until, as_of)


def _read_tails(table: LakeTable, landed: Mapping[Position, int], covered: Mapping[Position, int]) -> dict[Position, _Tail]:
    """Offsets and times of the rows that are not merged, of each partition that has any."""
    found: dict[Position, list[pa.Table]] = {}
    is_wanted = _is_within({position: (covered.get(position, 0), end) for position, end in landed.items()})
    if is_wanted is None:
        return {}
    for rows in read_tables(table.dataset(), ["_topic_id", "_partition", "_offset", "_appended_at"], is_wanted):
        for place in rows.group_by(["_topic_id", "_partition"]).aggregate([]).to_pylist():
            position = Position(place["_topic_id"], place["_partition"])
            is_here = pc.and_(pc.equal(rows["_topic_id"], position.topic_id), pc.equal(rows["_partition"], position.partition))
            found.setdefault(position, []).append(rows.filter(is_here).select(["_offset", "_appended_at"]))
    return {position: _build_tail(pa.concat_tables(parts)) for position, parts in found.items()}


def _build_tail(rows: pa.Table) -> _Tail:
    offsets, times = rows["_offset"].to_numpy(), rows["_appended_at"].cast(_TIME).cast(pa.int64()).to_numpy()
    order = np.argsort(offsets)
    return _Tail(offsets[order], _latest_so_far(times[order]))


def _latest_so_far(times: I64) -> I64:
    found: I64 = np.maximum.accumulate(times)
    return found


def _cut(tails: Mapping[Position, _Tail], until_us: int, rows_max: int) -> Iterator[int]:
    """Times at which batches end, the last at `until_us`. Rows of one moment stay together."""
    times = np.sort(np.concatenate([np.empty(0, np.int64), *(tail.times[: tail.count_until(until_us)] for tail in tails.values())]))
    ends = np.unique(times[rows_max - 1 :: rows_max])
    yield from ends[ends < until_us].tolist()
    yield until_us


def _is_done(position: Position, tails: Mapping[Position, _Tail], stops: Mapping[Position, int]) -> bool:
    return position not in tails or stops[position] == len(tails[position].offsets)


def _read_batch(
    table: LakeTable,
    tails: Mapping[Position, _Tail],
    starts: Mapping[Position, int],
    stops: Mapping[Position, int],
    until: datetime,
    as_of: datetime | None,
) -> Batch:
    ranges = {
        position: (int(tail.offsets[starts[position]]), int(tail.offsets[stops[position] - 1]) + 1)
        for position, tail in tails.items()
        if stops[position] > starts[position]
    }
    is_wanted = _is_within(ranges)
    parts = [] if is_wanted is None else list(read_tables(table.dataset(), table.schema.column_names, is_wanted))
    rows = pa.concat_tables(parts) if parts else table.schema.arrow.empty_table()
    late = (
        0
        if as_of is None
        else pc.sum(pc.less_equal(rows["_appended_at"], pa.scalar(as_of, rows.schema.field("_appended_at").type))).as_py()
    )
    return Batch(rows, {position: end for position, (_, end) in ranges.items()}, until, late or 0)


def _is_within(ranges: Mapping[Position, tuple[int, int]]) -> ds.Expression | None:
    """Rows of these offsets, the second not included; None for no rows."""
    found: ds.Expression | None = None
    for position, (start, end) in ranges.items():
        if start < end:
            is_here = is_of(position) & (ds.field("_offset") >= start) & (ds.field("_offset") < end)
            found = is_here if found is None else found | is_here
    return found


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _moment(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
