"""Parquet and Avro without a mapping: the two shapes that are known by their columns, each back into a stream record.

One is Pinpoint's stream record in columns, with or without structs: as AWS's Glue table `all_events` has it, or as this
project's own Avro schema does. The other is this project's table `events`.
"""

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from pipeline.imports.fields import PLACES, TIMES, Record, as_time, put, require
from pipeline.imports.heads import TOP_LEVEL
from pipeline.imports.rows import FileError, RowError, nearest
from schemas.tables import PROMOTED_PREFIX, load_table

Shape = Callable[[dict[str, Any], str | None], Record]

_LOWERED = {name.lower(): name for name in TOP_LEVEL}
_TABLE_PLACES = PLACES | {"locale": PLACES["locale_code"], "language": PLACES["locale_language"], "country": PLACES["locale_country"]}
_TABLE_OWN = {"attributes", "metrics", "extra"}


def detect_shape(address: str, columns: list[str]) -> Shape:
    """The shape that a file's columns show.

    Raises FileError when they show neither, naming what comes nearest.
    """
    lowered = {column.lower() for column in columns}
    if {"event_type", "event_timestamp", "application"} <= lowered:
        return stream_record_from_columns
    if {"event_type", "event_timestamp", "app_id"} <= lowered:
        return stream_record_from_events
    missing = next(name for name in ("event_type", "event_timestamp", "application") if name not in lowered)
    raise FileError(
        f"File '{address}' has the columns {', '.join(columns[:50])}: no stream record, as '{missing}' is missing"
        f"{nearest(missing, columns)}; give a mapping of its columns with --mapping FILE."
    )


def unmapped_names(shape: Shape | None, columns: Iterable[str]) -> list[str]:
    """Columns that are no part of the shape: what they hold lands in `extra`."""
    if shape is stream_record_from_columns:
        return [name for name in columns if name.lower() not in _LOWERED]
    known = set(load_table("events").column_names) | set(_TABLE_PLACES)
    return [name for name in columns if name not in known and not name.startswith(PROMOTED_PREFIX)]


def stream_record_from_columns(row: dict[str, Any], app_id: str | None) -> Record:
    """Columns named as the stream record's top level, in any case. Nulls inside structs are absent values."""
    record: Record = {}
    for name, value in row.items():
        if value is not None:
            own_name = _LOWERED.get(name.lower(), name)
            record[own_name] = value if own_name == "attributes" else _without_nulls(value)
    for name in TIMES:
        _read_time(record, name)
    if isinstance(record.get("facets"), str):
        record["facets"] = _json("facets", record["facets"])
    _mark_odd_metrics(record)
    require(record, app_id)
    return record


def stream_record_from_events(row: dict[str, Any], app_id: str | None) -> Record:
    """A row of table `events`: what enrichment derived is left to be derived anew, `extra` goes back to its places."""
    record: Record = {}
    for name, value in row.items():
        if value is None:
            continue
        if name in _TABLE_PLACES:
            place = name if name in PLACES else {"locale": "locale_code", "language": "locale_language", "country": "locale_country"}[name]
            put(record, place, _json(name, value) if name == "facets" and isinstance(value, str) else value)
        elif name in {"attributes", "metrics"} and value:
            record[name] = value if name == "attributes" else _without_nulls(value)
    for name in TIMES:
        _read_time(record, name)
    _mark_odd_metrics(record)
    if row.get("extra"):
        _merge(record, _json("extra", row["extra"]))
    for name in unmapped_names(stream_record_from_events, row):
        if row[name] is not None:
            record[name] = row[name]
    require(record, app_id)
    return record


def _read_time(record: Record, name: str) -> None:
    """Times as text or as text of digits (a map of text has nothing else) become ms; what is no time stays as it is."""
    *folders, last = PLACES[name]
    holder: Any = record
    for folder in folders:
        holder = holder.get(folder) if isinstance(holder, dict) else None
    value = holder.get(last) if isinstance(holder, dict) else None
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return
    try:
        holder[last] = as_time(name, value, "ms" if isinstance(value, str) and value.lstrip("-").isdigit() else None)
    except RowError:
        if name == "event_timestamp":
            raise


def _mark_odd_metrics(record: Record) -> None:
    """JSON has no NaN: such a metric becomes text, which lands in `extra`."""
    metrics = record.get("metrics")
    if isinstance(metrics, dict):
        for name, value in metrics.items():
            if isinstance(value, float) and not math.isfinite(value):
                metrics[name] = str(value)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value


def _json(name: str, value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        raise RowError(name, value, "expected JSON inside text") from None


def _merge(record: Record, extra: Any) -> None:
    for name, value in extra.items() if isinstance(extra, dict) else ():
        if isinstance(value, dict) and isinstance(record.get(name), dict):
            _merge(record[name], value)
        else:
            record.setdefault(name, value)
