"""The step `validate` of endpoint updates: records become rows of endpoint_updates or dead letters, each record exactly one of the two."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.enrichment.addresses import Kept, keep_addresses
from agents.parsing.endpoint_shape import Endpoint
from agents.parsing.exact_json import Unreadable, parse_counted, write_json
from agents.parsing.fit import Unfit
from agents.parsing.update_shape import Update, read_update
from agents.parsing.verdict import Verdict, build_dead_letters
from agents.validate import POSITION, Validated, ValidateRules, too_large
from schemas.records import DEAD
from schemas.tables import load_table

_TABLE = load_table("endpoint_updates").arrow
# Rows with the place of their record, as steps pass them on.
PARSED = pa.schema([pa.field("_row", pa.int32(), nullable=False), *_TABLE])
_OF_ENDPOINT = [name for name in Endpoint.__struct_fields__ if name != "extra"]
_OF_RECORD = [name for name in Update.__struct_fields__ if name not in {"endpoint", "update_id", "record_extra"}]
_MILLISECONDS = {"arrival_timestamp", "sent_at", "received_at"}
# Few enough that Python's collector does not walk over them again and again: a fifth of the time.
_CHUNK_ROWS = 2_000
_MAPS = {"attributes", "metrics", "user_attributes"}


def validate_updates(records: pa.Table, rules: ValidateRules, client_address: Kept) -> Validated:
    """Sort records (columns RECORDS) into updates and dead letters. Pure.

    `parsed` has the columns of endpoint_updates and `_row`, the row in `records`; both tables are in the records' order.
    """
    parsed, dead = [PARSED.empty_table()], [DEAD.empty_table()]
    for start in range(0, len(records), _CHUNK_ROWS):
        (batch,) = records.slice(start, _CHUNK_ROWS).combine_chunks().to_batches()
        found = _validate(batch, start, rules, client_address)
        parsed.append(found.parsed)
        dead.append(found.dead)
    return Validated(pa.concat_tables(parsed).combine_chunks(), pa.concat_tables(dead))


def _validate(batch: pa.RecordBatch, start: int, rules: ValidateRules, client_address: Kept) -> Validated:
    """Records of one chunk; `_row` counts from `start`."""
    rows: list[int] = []
    updates: list[Update] = []
    verdicts: list[Verdict] = []
    for row, (value, size) in enumerate(zip(batch.column("value").to_pylist(), batch.column("value_bytes").to_pylist(), strict=True)):
        found = _read(row, value, size, rules)
        if isinstance(found, Verdict):
            verdicts.append(found)
        else:
            rows.append(row)
            updates.append(found)
    dead = build_dead_letters(verdicts, batch, rules.keeps_unreadable) if verdicts else DEAD.empty_table()
    return Validated(_build_rows(rows, updates, batch, start, client_address), dead)


def _read(row: int, value: bytes | None, size: int, rules: ValidateRules) -> Update | Verdict:
    if size > rules.message_bytes_max:
        return too_large(row, size, rules)
    try:
        return read_update(parse_counted(value or b""))
    except Unreadable as error:
        return Verdict(row, error.reason, error.error if rules.keeps_unreadable else error.bare_error, is_readable=False)
    except Unfit as error:
        return Verdict(row, error.reason, error.error, error.known)


def _build_rows(rows: Sequence[int], updates: Sequence[Update], batch: pa.RecordBatch, start: int, client_address: Kept) -> pa.Table:
    places = batch.select([*POSITION, "origin"]).take(pa.array(rows, pa.int32()))
    endpoints = [update.endpoint for update in updates]
    columns: dict[str, Any] = {name: places.column(name) for name in POSITION}
    columns |= {name: _as_column(name, [getattr(endpoint, name) for endpoint in endpoints]) for name in _OF_ENDPOINT}
    columns |= {name: _as_column(name, [getattr(update, name) for update in updates]) for name in _OF_RECORD}
    columns["extra"] = _as_json([endpoint.extra for endpoint in endpoints])
    columns["record_extra"] = _as_json([update.record_extra for update in updates])
    columns["update_id"] = _name_updates(updates, places)
    columns["client_ip"] = keep_addresses(columns["client_ip"], client_address)
    columns["arrival_date"] = places.column("_appended_at").cast(pa.date32())
    columns["_row"] = pa.array(np.array(rows, np.int32) + np.int32(start))
    return pa.table([columns[name] for name in PARSED.names], schema=PARSED)


def _as_column(name: str, values: list[Any]) -> pa.Array:
    kind = _TABLE.field(name).type
    if name in _MILLISECONDS:
        return pa.array(values, pa.timestamp("ms", tz="UTC")).cast(kind)
    return _as_maps(values, kind) if name in _MAPS else pa.array(values, kind)


def _as_maps(maps: list[Mapping[str, Any]], kind: pa.MapType) -> pa.Array:
    """Maps of numbers or of lists: their names and items on end, which takes an eighth of the time of Arrow's own reading of pairs."""
    ends = np.zeros(len(maps) + 1, np.int32)
    np.cumsum([len(each) for each in maps], out=ends[1:])
    names = pa.array([name for each in maps if each for name in each], kind.key_type)
    found = [item for each in maps if each for item in each.values()]
    if not pa.types.is_list(kind.item_type):
        items = pa.array(found, kind.item_type)
    else:
        item_ends = np.zeros(len(found) + 1, np.int32)
        np.cumsum([len(item) for item in found], out=item_ends[1:])
        texts = pa.array([text for item in found for text in item], kind.item_type.value_type)
        items = pa.ListArray.from_arrays(pa.array(item_ends), texts).cast(kind.item_type)
    entries = pa.StructArray.from_arrays([names, items], fields=[kind.key_field, kind.item_field])
    return pa.Array.from_buffers(kind, len(maps), [None, pa.py_buffer(ends)], children=[entries])


def _as_json(leftovers: list[Any]) -> pa.Array:
    return pa.array([write_json(left) if left else None for left in leftovers], pa.string())


def _name_updates(updates: Sequence[Update], places: pa.RecordBatch) -> pa.Array:
    """The ids as sent; of an update without one where its record was, or where it came from, as for events."""
    sent = pa.array([update.update_id for update in updates], pa.string())
    if not sent.null_count:
        return sent
    place = [places.column(name).cast(pa.string()) for name in ("_topic_id", "_partition", "_offset")]
    return pc.coalesce(sent, places.column("origin"), pc.binary_join_element_wise(*place, "/"))
