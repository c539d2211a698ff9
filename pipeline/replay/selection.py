"""Which dead letters are meant, which of them can be replayed, and why the others cannot."""

import datetime as dt
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from pipeline.bare_duckdb import open_duckdb
from schemas.errors import UsageError
from schemas.records import Reason
from sinks.dead_letter_replays import Origin
from sinks.lake import LakeTable
from sinks.reread import read_again

CHUNK_LETTERS = 1000
CHUNK_BYTES = 8_000_000
NO_BYTES = "their bytes were not kept"
FOREIGN = "their topic is none that lands here"

# One row per dead letter that is meant, what hinders its replay first. Duplicates are meant only when they are named.
_MEANT = """
with meant as (
    select _topic_id, _partition, _offset, topic, reason, value_bytes, value is null as has_no_value
    from dead_rows
    where ($reasons is null and reason <> $duplicate or list_contains($reasons, reason) or $positions_given)
      and ($since is null or _appended_at >= $since)
      and ($until is null or _appended_at < $until)
      and ($event_id is null or event_id = $event_id)
      and (not $positions_given or exists (
          from positions as p where p.topic = dead_rows.topic and p.partition = dead_rows._partition and p."offset" = dead_rows._offset
      ))
)

select
    m._topic_id,
    m._partition,
    m._offset,
    m.topic,
    m.reason,
    m.value_bytes,
    case
        when r.origin_offset is not null then 'replayed'
        when m.has_no_value and m.value_bytes > 0 then $no_bytes
        when not list_contains($topics, m.topic) then $foreign
        else 'open'
    end as state,
    r.topic as sent_topic,
    r.sent_partition,
    r.sent_offset
from meant as m
left join replays as r
    on r.origin_topic_id = m._topic_id and r.origin_partition = m._partition and r.origin_offset = m._offset
order by m.topic, m._topic_id, m._partition, m._offset
"""


@dataclass(frozen=True)
class Choice:
    """What the options say: any of reasons, a time of append [since, until), an event id, positions topic/partition/offset."""

    reasons: tuple[str, ...] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    event_id: str | None = None
    positions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UsageError for a reason or a position that is none, and for no choice at all."""
        for reason in self.reasons:
            if reason not in {one.value for one in Reason}:
                raise UsageError(f"Option '--reason' is '{reason}'; expected one of {', '.join(one.value for one in Reason)}.")
        self.places()
        if not (self.reasons or self.since or self.until or self.event_id or self.positions):
            raise UsageError(
                "No dead letters are named; expected --reason, --since, --until, --event-id or positions, for example --reason not_json. "
                "'headwater dead-letters list --count' says how many there are of each reason."
            )

    def places(self) -> list[tuple[str, int, int]]:
        """The positions taken apart: topic, partition, offset."""
        return [parse_position(position) for position in self.positions]


@dataclass
class Selection:
    """Dead letters that are meant: origins that can be replayed in the order of their offsets, by topic; and how many cannot, why."""

    table: LakeTable
    meant: int = 0
    replayed: int = 0
    not_replayable: dict[str, int] = field(default_factory=dict)
    _open: list[tuple[str, Origin, int]] = field(default_factory=list)

    def chunks(self) -> Iterator[tuple[str, pa.Table]]:
        """(topic, rows of dead_letters): at most 1,000 rows or 8 MB of values each, of one topic."""
        chunk: list[Origin] = []
        topic, size = "", 0
        for next_topic, origin, value_bytes in self._open:
            if chunk and (next_topic != topic or len(chunk) >= CHUNK_LETTERS or size + value_bytes > CHUNK_BYTES):
                yield topic, self._load(chunk)
                chunk, size = [], 0
            topic, size = next_topic, size + value_bytes
            chunk.append(origin)
        if chunk:
            yield topic, self._load(chunk)

    def _load(self, origins: Sequence[Origin]) -> pa.Table:
        """The rows of these origins, in their order: partition by partition, which files can be skipped by."""
        parts = []
        for (topic_id, partition), group in itertools.groupby(origins, key=lambda origin: origin[:2]):
            offsets = [origin.offset for origin in group]
            is_wanted = (ds.field("_topic_id") == topic_id) & (ds.field("_partition") == partition)
            is_wanted &= (ds.field("_offset") >= offsets[0]) & (ds.field("_offset") <= offsets[-1]) & ds.field("_offset").isin(offsets)
            parts.append(read_again(self.table, partial(self._read, is_wanted)).sort_by("_offset"))
        return pa.concat_tables(parts).combine_chunks()

    def _read(self, is_wanted: ds.Expression) -> pa.Table:
        return self.table.dataset().to_table(columns=self.table.schema.column_names, filter=is_wanted)


def select_letters(table: LakeTable, replays: pa.Table, choice: Choice, topics: Collection[str]) -> Selection:
    """Find the dead letters that are meant. `replays` are the origins that were replayed; `topics` are those that land here.

    Raises UsageError for a position at which there is none, or whose dead letter was replayed already.
    """
    columns = ["_topic_id", "_partition", "_offset", "_appended_at", "topic", "reason", "event_id", "value", "value_bytes"]
    places = choice.places()
    given = {
        "reasons": list(choice.reasons) or None,
        "duplicate": Reason.DUPLICATE.value,
        "since": choice.since,
        "until": choice.until,
        "event_id": choice.event_id,
        "positions_given": bool(places),
        "topics": list(topics),
        "no_bytes": NO_BYTES,
        "foreign": FOREIGN,
    }
    names = ("topic", "partition", "offset")
    positions = pa.Table.from_pylist(
        [dict(zip(names, place, strict=True)) for place in places],
        schema=pa.schema([("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64())]),
    )

    def ask() -> list[tuple[Any, ...]]:
        # Read here, not by DuckDB: that a file is gone would come out of it as another error.
        dead_rows = table.dataset().to_table(columns=columns, filter=_skip(choice))
        with open_duckdb() as con:
            con.execute("set TimeZone = 'UTC'")
            con.register("dead_rows", dead_rows)
            con.register("replays", replays)
            con.register("positions", positions)
            return con.execute(_MEANT, given).fetchall()

    rows = read_again(table, ask)
    selection = Selection(table)
    for topic_id, partition, offset, topic, reason, value_bytes, state, *sent in rows:
        selection.meant += 1
        if state == "open":
            selection._open.append((topic, Origin(topic_id, partition, offset), value_bytes))
        elif state == "replayed":
            selection.replayed += 1
            if places:
                raise UsageError(_explain_replayed(f"{topic}/{partition}/{offset}", *sent))
        else:
            why = f"{reason}: {state}"
            selection.not_replayable[why] = selection.not_replayable.get(why, 0) + 1
    found = {(topic, partition, offset) for _, partition, offset, topic, *_ in rows}
    for place, position in zip(places, choice.positions, strict=True):
        if place not in found:
            raise UsageError(f"No dead letter lies at '{position}'; 'headwater dead-letters list' shows those that there are.")
    return selection


def parse_position(position: str) -> tuple[str, int, int]:
    """topic/partition/offset taken apart.

    Raises UsageError for anything else.
    """
    topic, *rest = position.rsplit("/", 2)
    if len(rest) != 2 or not topic or not all(part.isdecimal() for part in rest):
        raise UsageError(f"Argument POSITION is '{position}'; expected topic/partition/offset, for example raw-events/0/41.")
    return topic, int(rest[0]), int(rest[1])


def _skip(choice: Choice) -> Any:
    """The part of a choice by which files can be skipped unread."""
    is_wanted = ds.scalar(True)
    if choice.since is not None:
        is_wanted &= (ds.field("_appended_at") >= pa.scalar(choice.since)) & (ds.field("arrival_date") >= pa.scalar(choice.since.date()))
    if choice.until is not None:
        is_wanted &= (ds.field("_appended_at") < pa.scalar(choice.until)) & (ds.field("arrival_date") <= pa.scalar(choice.until.date()))
    if choice.positions:
        is_wanted &= ds.field("_offset").isin([offset for _, _, offset in choice.places()])
    return is_wanted


def _explain_replayed(position: str, topic: str, partition: int | None, offset: int | None) -> str:
    if offset is None:
        return (
            f"The replay of dead letter '{position}' was begun and is not known to have ended; it is never begun twice. "
            "'headwater dead-letters replay --send' with any choice finishes first what was begun."
        )
    return (
        f"Dead letter '{position}' was replayed already, as {topic}/{partition}/{offset}; it is not sent twice. If that one is a dead letter "
        f"again, 'headwater dead-letters replay {topic}/{partition}/{offset}' means it."
    )
