"""An id looked for in the lake: rows of events, of endpoint_updates and of dead_letters, each with its file and the version that landed it."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from agents.land import Position
from pipeline.trace.wanted import Wanted
from schemas.records import Reason
from sinks.dead_letter_replays import DeadLetterReplays
from sinks.lake import LakeTable
from sinks.log_search import find_passing
from sinks.reread import read_again

_FILE = "__filename"
_POSITION = ("_topic_id", "_partition", "_offset", "_appended_at")
_EVENT = ("event_id", "event_type", "event_timestamp", "app_id", "endpoint_id")
_AS_SENT = "event_timestamp_as_sent"
EVENT_COLUMNS = (*_EVENT, _AS_SENT, "arrival_timestamp", *_POSITION)
UPDATE_COLUMNS = ("update_id", "operation", "app_id", "endpoint_id", "user_id", "arrival_timestamp", *_POSITION)
DEAD_COLUMNS = (*_EVENT, "reason", "error", "origin", "topic", "value_bytes", *_POSITION)

Row = dict[str, Any]


def find_events(table: LakeTable, wanted: Wanted) -> list[Row]:
    """Rows of `events` with this id, in the order of their append: EVENT_COLUMNS, file, version, is_version_exact, committed_at."""
    return _find(table, EVENT_COLUMNS, ds.field("event_id") == wanted.event_id, wanted)


def find_updates(table: LakeTable, wanted: Wanted) -> list[Row]:
    """Rows of `endpoint_updates` with this id, as `find_events`, with UPDATE_COLUMNS."""
    return _find(table, UPDATE_COLUMNS, ds.field("update_id") == wanted.event_id, wanted)


def find_dead_letters(table: LakeTable, wanted: Wanted) -> list[Row]:
    """Rows of `dead_letters`, as `find_events`, with DEAD_COLUMNS: those with this id, those at the place that the id says, and those
    whose id could not be read and whose bytes hold it."""
    is_it = ds.field("event_id") == wanted.event_id
    is_it |= ds.field("event_id").is_null() & pc.match_substring_regex(ds.field("value"), wanted.pattern)
    if wanted.place:
        topic_id, partition, offset = wanted.place
        is_it |= (ds.field("_topic_id") == topic_id) & (ds.field("_partition") == partition) & (ds.field("_offset") == offset)
    return _find(table, DEAD_COLUMNS, is_it, wanted)


def find_first_copy(duplicate: Row, landed: Iterable[Row]) -> Row | None:
    """The event, or the update, that a duplicate repeats: the last of the same key that was appended before it, in its own partition if
    there is one."""
    if duplicate["reason"] != Reason.DUPLICATE:
        return None
    before = [row for row in landed if _is_same(row, duplicate) and _is_before(row, duplicate)]
    own = [row for row in before if (row["_topic_id"], row["_partition"]) == (duplicate["_topic_id"], duplicate["_partition"])]
    found = own or before
    return found[-1] if found else None


def find_replays(replays: DeadLetterReplays, dead_letters: Iterable[Row]) -> dict[tuple[str, int, int], Row]:
    """By position, of those dead letters that were replayed: topic, sent_partition, sent_offset, replayed_at (null while only begun)."""
    wanted = {_position(row) for row in dead_letters}
    rows = replays.origins().to_pylist() if wanted else []
    origins = {(row["origin_topic_id"], row["origin_partition"], row["origin_offset"]): row for row in rows}
    return {position: origins[position] for position in wanted & origins.keys()}


def _is_same(row: Row, duplicate: Row) -> bool:
    """A dead letter has the client's own time, an event may have another one beside it. Updates have none, and case does not count in their
    endpoint's id."""
    if "update_id" in row:
        ids = [row[name] for name in ("update_id", "operation", "app_id")] == [
            duplicate[name] for name in ("event_id", "event_type", "app_id")
        ]
        return ids and _lower(row["endpoint_id"]) == _lower(duplicate["endpoint_id"])
    sent = row | ({"event_timestamp": row[_AS_SENT]} if row[_AS_SENT] else {})
    return all(sent[name] == duplicate[name] for name in _EVENT)


def _lower(endpoint_id: str | None) -> str | None:
    return None if endpoint_id is None else endpoint_id.lower()


def _is_before(row: Row, other: Row) -> bool:
    return bool((row["_appended_at"], row["_offset"]) < (other["_appended_at"], other["_offset"]))


def _position(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["_topic_id"], row["_partition"], row["_offset"]


def _find(table: LakeTable, columns: Iterable[str], is_it: ds.Expression, wanted: Wanted) -> list[Row]:
    is_wanted = is_it
    if wanted.app_id is not None:
        is_wanted &= ds.field("app_id") == wanted.app_id
    if wanted.since is not None:
        is_wanted &= (ds.field("_appended_at") >= pa.scalar(wanted.since)) & (ds.field("arrival_date") >= pa.scalar(wanted.since.date()))
    rows = read_again(table, lambda: _read(table, columns, is_wanted))
    for row in rows:
        row["file"] = row.pop(_FILE).removeprefix(f"{table.store.bucket}/")
        app = Position(row["_topic_id"], row["_partition"]).app_id(table.name)
        commit = find_passing(table.store, table.key, app, row["_offset"], row["_appended_at"], table.version())
        row["version"] = commit.version if commit else None
        row["is_version_exact"] = bool(commit and commit.is_exact)
        row["committed_at"] = commit.committed_at if commit else None
    return sorted(rows, key=lambda row: (row["_appended_at"], row["_partition"], row["_offset"]))


def _read(table: LakeTable, columns: Iterable[str], is_wanted: ds.Expression) -> list[Row]:
    """First only which files hold it, from the columns that the filter needs; then the rows, from these files."""
    dataset = table.dataset()
    found = dataset.scanner(columns=[_FILE], filter=is_wanted).to_table()[_FILE]
    files = set(pc.unique(found).to_pylist())
    fragments = [fragment for fragment in dataset.get_fragments() if fragment.path in files]
    inside = ds.FileSystemDataset(fragments, dataset.schema, dataset.format, fragments[0].filesystem) if fragments else None
    # What no worker has added to the table yet is null.
    there = [name for name in columns if name in dataset.schema.names]
    rows: list[Row] = inside.to_table(columns=[*there, _FILE], filter=is_wanted).to_pylist() if inside else []
    return [dict.fromkeys(columns) | row for row in rows]
