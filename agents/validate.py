"""The step `validate`: records become parsed events or dead letters, each record exactly one of the two.

A record goes the short way when its value passes the pre-scan, DuckDB reads it, and its signature proves that the columns hold all
of it. Every other one is read strictly, which either says why it is no event or fits it to the shape; what was fitted goes through
the same SQL, so that columns come from one place. Reasons come from one place too: only the strict reading makes dead letters.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from agents.exact_json import Unreadable, parse_counted, parse_exactly, write_json
from agents.fit import MS_MAX, MS_MIN, Unfit, fit_record
from agents.map_columns import has_distinct_keys, has_finite_values
from agents.prescan import scan_values
from agents.record_shape import load_structure
from agents.signature import Signature, count_members
from agents.verdict import Verdict, build_dead_letters
from schemas.records import DEAD, PARSED, Reason

_PARSE = Path(__file__).with_name("parse.sql").read_text()
# Rows that one statement reads: its columns take about as many bytes as the values.
_ROWS_MAX = 32_768
_POSITION = ["_topic_id", "_partition", "_offset", "_appended_at", "_payload_hash"]
_UNKNOWN = -1
_UNREAD = "The strict reading took the value and DuckDB did not; expected both to agree. Please report it."
_SENT = [name for name in PARSED.names if name not in {"extra", *_POSITION}]


@dataclass(frozen=True)
class ValidateRules:
    """`message_bytes_max`: a larger message becomes a dead letter without its bytes.

    `keeps_unreadable`: a message that cannot be parsed keeps value and key; False while redaction is on, which cannot look into it.
    """

    message_bytes_max: int
    keeps_unreadable: bool = True


@dataclass(frozen=True)
class Validated:
    """`parsed` has the columns PARSED and `dead` the columns DEAD, both in the records' order."""

    parsed: pa.Table
    dead: pa.Table


def validate_batch(con: duckdb.DuckDBPyConnection, records: pa.Table, rules: ValidateRules) -> Validated:
    """Sort records (columns RECORDS) into events and dead letters. Pure; `con` is used for one statement at a time."""
    return _validate(con, records, rules, always_strict=False)


def validate_strictly(con: duckdb.DuckDBPyConnection, records: pa.Table, rules: ValidateRules) -> Validated:
    """The same with every record read strictly: slower, and by contract with the same result."""
    return _validate(con, records, rules, always_strict=True)


def _validate(con: duckdb.DuckDBPyConnection, records: pa.Table, rules: ValidateRules, always_strict: bool) -> Validated:
    parsed, dead, start = [], [], 0
    for batch in records.combine_chunks().to_batches(max_chunksize=_ROWS_MAX):
        verdicts: list[Verdict] = []
        columns = _parse(con, batch, rules, verdicts, always_strict)
        parsed.append(_as_parsed(columns, batch, start))
        dead.append(build_dead_letters(verdicts, batch, rules.keeps_unreadable))
        start += batch.num_rows
    return Validated(
        pa.concat_tables(parsed) if parsed else PARSED.empty_table(),
        pa.concat_tables(dead) if dead else DEAD.empty_table(),
    )


def _parse(
    con: duckdb.DuckDBPyConnection, batch: pa.RecordBatch, rules: ValidateRules, verdicts: list[Verdict], always_strict: bool
) -> pa.Table:
    """The columns of the events of a batch, ordered by _row; the others are added to `verdicts`."""
    sizes = batch.column("value_bytes").to_numpy()
    is_open = sizes <= rules.message_bytes_max
    verdicts.extend(_too_large(row, sizes[row], rules) for row in np.flatnonzero(~is_open).tolist())
    values = batch.column("value")
    if not is_open.all():
        values = pc.if_else(is_open, values, pa.scalar(None, pa.binary()))
    parsed = []
    counts = np.full(len(values), _UNKNOWN, np.int64)
    if not always_strict:
        parsed.append(_parse_proven(con, values, counts))
        is_open[parsed[0]["_row"].to_numpy()] = False
    rows = np.flatnonzero(is_open)
    if len(rows) or always_strict:
        parsed.append(_parse_strictly(con, rows, values.take(pa.array(rows)), counts[rows], rules, verdicts))
    columns = pa.concat_tables(parsed)
    return columns if len(parsed) == 1 else columns.take(np.argsort(columns["_row"].to_numpy()))


def _parse_proven(con: duckdb.DuckDBPyConnection, values: pa.Array, counts: npt.NDArray[np.int64]) -> pa.Table:
    """The columns of those values that pass the pre-scan and that the signature proves complete.

    `counts` gets the number of members of those values of which it is known.
    """
    texts, passed = scan_values(values)
    rows = np.flatnonzero(passed)
    candidates = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
    found = _run_parse(con, rows, candidates)
    signature = count_members(candidates)
    counts[rows] = np.where(signature.is_countable, signature.members, _UNKNOWN)
    is_proven = _is_proven(found, signature)
    columns = found.select(_SENT).append_column("extra", pa.nulls(len(rows), pa.string()))
    return columns if is_proven.all() else columns.filter(pa.array(is_proven))


def _is_proven(found: pa.Table, signature: Signature) -> npt.NDArray[np.bool_]:
    """Whether the columns of a row hold every member of its message, each of the type wanted."""
    proven: npt.NDArray[np.bool_] = (
        found["is_provable"].to_numpy()
        & signature.is_countable
        & (found["member_count"].to_numpy() == signature.members)
        & (found["object_count"].to_numpy() == signature.objects)
        & (found["number_count"].to_numpy() == signature.others)
        & has_distinct_keys(found["attributes"])
        & has_distinct_keys(found["metrics"])
        & has_finite_values(found["metrics"])
    )
    return proven


def _parse_strictly(
    con: duckdb.DuckDBPyConnection,
    rows: npt.NDArray[np.int64],
    values: pa.Array,
    counts: npt.NDArray[np.int64],
    rules: ValidateRules,
    verdicts: list[Verdict],
) -> pa.Table:
    """The columns of those of the rows whose value fits; the others are added to `verdicts`."""
    fitted_rows: list[int] = []
    documents: list[str] = []
    extras: list[str | None] = []
    for row, value, count in zip(rows.tolist(), values.to_pylist(), counts.tolist(), strict=True):
        try:
            fitted = fit_record(parse_exactly(value or b"") if count == _UNKNOWN else parse_counted(value, count))
        except Unreadable as error:
            verdicts.append(Verdict(row, error.reason, error.error if rules.keeps_unreadable else error.bare_error, is_readable=False))
        except Unfit as error:
            verdicts.append(Verdict(row, error.reason, error.error, error.known))
        else:
            fitted_rows.append(row)
            documents.append(write_json(fitted.columns))
            extras.append(None if fitted.extra is None else write_json(fitted.extra))
    found = _run_parse(con, np.array(fitted_rows, np.int64), pa.array(documents, pa.string()))
    columns = found.select(_SENT).append_column("extra", pa.array(extras, pa.string()))
    is_read = found["event_type"].is_valid().to_numpy()
    if not is_read.all():
        verdicts.extend(Verdict(fitted_rows[place], Reason.NOT_JSON, _UNREAD, is_readable=False) for place in np.flatnonzero(~is_read))
        columns = columns.filter(pa.array(is_read))
    return columns


def _run_parse(con: duckdb.DuckDBPyConnection, rows: npt.NDArray[np.int64], texts: pa.Array) -> pa.Table:
    """What parse.sql says of these texts, in their order; `_row` is from `rows`."""
    con.register("records", pa.table({"_row": pa.array(rows, pa.int32()), "value": texts}))
    try:
        return con.execute(_PARSE, {"structure": load_structure(), "ms_min": MS_MIN, "ms_max": MS_MAX}).to_arrow_table()
    finally:
        con.unregister("records")


def _too_large(row: int, size: int, rules: ValidateRules) -> Verdict:
    error = f"The message has {size} bytes; expected at most {rules.message_bytes_max} (setting MESSAGE_BYTES_MAX)."
    return Verdict(row, Reason.TOO_LARGE, error, is_readable=False)


def _as_parsed(columns: pa.Table, batch: pa.RecordBatch, start: int) -> pa.Table:
    """`columns` with the records' positions, ids where none were sent, and `_row` counted from `start`."""
    rows = columns["_row"]
    records = batch if len(rows) == batch.num_rows else batch.take(rows.combine_chunks())
    named = {name: columns[name] for name in columns.column_names} | {name: records.column(name) for name in _POSITION}
    named["_row"] = pc.add(rows, pa.scalar(start, pa.int32()))
    if columns["event_id"].null_count:
        place = [records.column(name).cast(pa.string()) for name in ("_topic_id", "_partition", "_offset")]
        named["event_id"] = pc.coalesce(columns["event_id"], records.column("origin"), pc.binary_join_element_wise(*place, "/"))
    return pa.table({name: named[name] for name in PARSED.names}).cast(PARSED)
