"""Sets resends aside: of an event, or an update of an endpoint, that was seen before within the window, only the first copy lands.

Two records are the same event when (app_id, endpoint_id, event_id, event_type, event_timestamp) are equal, the same update when
(app_id, endpoint_id in lower case, update_id, operation) are. It works within a
partition, where the lowest offset is the first copy. The clock is the append time, never the machine's: a record is a duplicate when the
latest append time up to and including it is at most the window after the append time of the copy that landed. Exactly the
window later is still a duplicate; after that it lands and becomes the new first copy.

Append times only go up under LogAppendTime. On a topic whose producers set them they may go back; the clock then stands
still, and a record whose own time is more than the window behind it lands without being remembered.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from agents.dedup.event_keys import I64, U64, hash_events
from agents.dedup.identity import EVENTS, Identity
from agents.dedup.window import KeyWindow, NewKeys, append_times
from schemas.records import DEAD, Reason

Rows = npt.NDArray[np.intp]
_NO_ROW = np.iinfo(np.intp).max


@dataclass(frozen=True)
class DedupRules:
    """How far back a resend is recognised; whether a duplicate's dead letter keeps the bytes."""

    window_secs: float
    keeps_bytes: bool


@dataclass(frozen=True)
class Deduplicated:
    """`first` (of `parsed`) lands; `dead` (DEAD) has a row for each duplicate; `keys`, by partition, are for the windows once all of it
    is committed; `reused_count` of the events in `first` came under an id that their endpoint had used for another event."""

    first: pa.Table
    dead: pa.Table
    keys: Mapping[int, NewKeys]
    reused_count: int


def deduplicate_batch(
    con: duckdb.DuckDBPyConnection,
    parsed: pa.Table,
    records: pa.Table,
    windows: Mapping[int, KeyWindow],
    rules: DedupRules,
    identity: Identity = EVENTS,
) -> Deduplicated:
    """Split `parsed` (PARSED, or rows of the table that `identity` speaks of with their _row; ordered by partition and offset) into first
    copies and duplicates.

    `records` (RECORDS) is what it was parsed from, valid or not. Windows are read, not changed: judging again gives the same.
    """
    rows = parsed.column("_row").to_numpy()
    assert np.all(rows[1:] > rows[:-1]), "parsed must be in the order of its records"
    hashed, times, record_times = hash_events(con, identity.as_key_table(parsed)), append_times(parsed), append_times(records)
    window_us = round(rules.window_secs * 1e6)
    verdict = _Verdict(len(rows))
    keys = {}
    for partition, start, stop in _partitions(records.column("_partition").to_numpy()):
        window = windows[partition]
        clock = np.maximum.accumulate(np.maximum(record_times[start:stop], window.latest_at))
        part = slice(*np.searchsorted(rows, [start, stop]))
        batch = _Batch(hashed.ids[part], hashed.rests[part], times[part], clock[rows[part] - start])
        _judge(batch, window, window_us, verdict, part)
        first = verdict.is_first[part]
        offset_next = records.column("_offset")[stop - 1].as_py() + 1
        keys[partition] = NewKeys(batch.ids[first], batch.rests[first], batch.times[first], int(clock[-1]), offset_next)
    if verdict.is_first.all():
        return Deduplicated(parsed, DEAD.empty_table(), keys, verdict.reused_count)
    dead = _dead_letters(parsed, records, verdict, rules, identity)
    return Deduplicated(parsed.filter(pa.array(verdict.is_first)), dead, keys, verdict.reused_count)


class _Verdict:
    """Per row of `parsed`: does it land; if not, when its first copy was appended and which row that is, -1 for one from before."""

    def __init__(self, row_count: int) -> None:
        self.is_first = np.ones(row_count, np.bool_)
        self.first_at = np.zeros(row_count, np.int64)
        self.first_row = np.full(row_count, -1, np.intp)
        self.reused_count = 0


@dataclass(frozen=True)
class _Batch:
    """The keys of one partition's rows in offset order, with append time and clock (the latest append time so far) in us."""

    ids: U64
    rests: U64
    times: I64
    clock: I64


def _partitions(column: npt.NDArray[np.int32]) -> list[tuple[int, int, int]]:
    """(partition, start, stop) of each stretch of rows."""
    if not len(column):
        return []
    starts = [0, *(np.flatnonzero(column[1:] != column[:-1]) + 1).tolist()]
    return [(int(column[start]), start, stop) for start, stop in zip(starts, [*starts[1:], len(column)], strict=True)]


def _judge(batch: _Batch, window: KeyWindow, window_us: int, verdict: _Verdict, part: slice) -> None:
    """Judge one partition's rows and write down the verdict in their part of it."""
    is_first, first_at, first_row = verdict.is_first[part], verdict.first_at[part], verdict.first_row[part]
    order = np.argsort(batch.ids)
    found = window.find(batch.ids[order], batch.rests[order])
    has_other = np.empty_like(found.has_other)
    first_at[order], has_other[order] = found.times, found.has_other
    np.greater(batch.clock - first_at, window_us, out=is_first)
    ids = batch.ids[order]
    is_tied = ids[1:] == ids[:-1]
    if is_tied.any():
        tied = order[np.concatenate((is_tied, [False])) | np.concatenate(([False], is_tied))]
        tied = tied[np.lexsort((tied, batch.rests[tied], batch.ids[tied]))]
        _judge_copies(batch, tied, window_us, is_first, first_at, first_row)
        has_other[_used_before(batch, tied, is_first)] = True
    first_row[first_row >= 0] += part.start
    verdict.reused_count += int(np.count_nonzero(is_first & has_other))


def _judge_copies(batch: _Batch, rows: Rows, window_us: int, is_first: npt.NDArray[np.bool_], first_at: I64, first_row: Rows) -> None:
    """Judge copies within the batch; `rows` are ordered by key, then offset.

    Comes in with the window's verdict: as the clock never goes back, what the window calls duplicates are the first rows of each key.
    """
    starts = _group_starts(batch.ids[rows], batch.rests[rows])
    sizes = np.diff(np.append(starts, len(rows)))
    # Of each key the first row that is no duplicate of what the window holds; for most keys it settles all that follow.
    anchors = np.repeat(np.minimum.reduceat(np.where(is_first[rows], rows, _NO_ROW), starts), sizes)
    follows = np.flatnonzero(is_first[rows] & (rows > anchors))
    is_copy = batch.clock[rows[follows]] - batch.times[anchors[follows]] <= window_us
    copies = follows[is_copy]
    is_first[rows[copies]] = False
    first_at[rows[copies]], first_row[rows[copies]] = batch.times[anchors[copies]], anchors[copies]
    # A batch that spans more than the window may hold several first copies of one key: these keys row by row.
    group_of = np.repeat(np.arange(len(starts)), sizes)
    for group in np.unique(group_of[follows[~is_copy]]).tolist():
        first, at = -1, None
        for row in rows[starts[group] : starts[group] + sizes[group]].tolist():
            if at is None and not is_first[row]:
                continue
            if at is not None and batch.clock[row] - at <= window_us:
                is_first[row], first_at[row], first_row[row] = False, at, first
                continue
            is_first[row] = True
            if at is None or batch.times[row] > at:
                first, at = row, batch.times[row]


def _used_before(batch: _Batch, rows: Rows, is_first: npt.NDArray[np.bool_]) -> Rows:
    """Rows whose id came earlier in the batch with other content; `rows` are ordered by key, then offset."""
    starts = _group_starts(batch.ids[rows])
    sizes = np.diff(np.append(starts, len(rows)))
    earliest = np.repeat(np.minimum.reduceat(np.where(is_first[rows], rows, _NO_ROW), starts), sizes)
    landing = earliest < _NO_ROW
    rows, earliest = rows[landing], earliest[landing]
    reused: Rows = rows[batch.rests[rows] != batch.rests[earliest]]
    return reused


def _group_starts(*columns: U64) -> Rows:
    """Where a new group begins in columns that are in order."""
    is_new = np.zeros(len(columns[0]), np.bool_)
    is_new[0] = True
    for column in columns:
        is_new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(is_new)


def _dead_letters(parsed: pa.Table, records: pa.Table, verdict: _Verdict, rules: DedupRules, identity: Identity) -> pa.Table:
    """A row of DEAD for each duplicate, saying what it is a duplicate of."""
    rows = np.flatnonzero(~verdict.is_first)
    duplicates = parsed.take(pa.array(rows))
    sources = records.select(["value", "value_bytes", "key", "origin"]).take(duplicates.column("_row"))
    columns = {name: duplicates.column(name) for name in DEAD.names if name in duplicates.column_names}
    columns |= {name: sources.column(name) for name in ("value_bytes", "key", "origin")} | identity.name_known(duplicates)
    columns["value"] = sources.column("value") if rules.keeps_bytes else pa.nulls(len(rows), pa.binary())
    columns["reason"] = pa.repeat(Reason.DUPLICATE.value, len(rows))
    columns["error"] = _explain(parsed.column("_offset").to_numpy(), verdict, rows, identity)
    return pa.table([columns[name] for name in DEAD.names], schema=DEAD)


def _explain(offsets: npt.NDArray[np.int64], verdict: _Verdict, rows: Rows, identity: Identity) -> pa.Array:
    """For each duplicate: the same event as which offset, where it came with the same batch, and appended when."""
    moments = np.datetime_as_string(verdict.first_at[rows].astype("datetime64[us]").astype("datetime64[ms]"), timezone="UTC")
    first_rows = verdict.first_row[rows]
    known = pa.array(offsets[first_rows], mask=first_rows < 0).cast(pa.string())
    places = pc.fill_null(pc.binary_join_element_wise("offset ", known, " of this partition", ""), f"the {identity.noun} that landed")
    same = f"the same {identity.parts} as "
    return pc.binary_join_element_wise(same, places, ", appended at ", pa.array(moments.tolist(), pa.string()), "")
