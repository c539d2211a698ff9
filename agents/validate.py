"""The step `validate`: records become parsed events or dead letters, each record exactly one of the two.

A record goes the short way when its value passes the pre-scan, DuckDB reads it, and its signature proves that the columns hold all
of it. Every other one is read strictly, which either says why it is no event or fits it to the shape; what was fitted goes through
the same SQL, so that columns come from one place. Reasons come from one place too: only the strict reading judges a value.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from agents.parsing.fit import MS_MAX, MS_MIN
from agents.parsing.prescan import scan_values
from agents.parsing.proof import is_proven
from agents.parsing.record_shape import load_structure
from agents.parsing.signature import count_members
from agents.parsing.strict import read_strictly
from agents.parsing.verdict import Verdict, build_dead_letters
from schemas.records import DEAD, PARSED, Reason

_PARSE = (Path(__file__).parent / "parsing" / "parse.sql").read_text()
_TRANSFORM = "json_transform(value, $structure)"
# Rows that one statement reads: its columns take about as many bytes as the values.
_ROWS_MAX = 32_768
_POSITION = ["_topic_id", "_partition", "_offset", "_appended_at", "_payload_hash"]
_SENT = [name for name in PARSED.names if name not in {"extra", *_POSITION}]
_UNREAD = "The strict reading took the value and DuckDB did not; expected both to agree. Please report it."

Rows = npt.NDArray[np.int64]


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
    parsed, dead, start = [PARSED.empty_table()], [DEAD.empty_table()], 0
    for batch in records.combine_chunks().to_batches(max_chunksize=_ROWS_MAX):
        columns, verdicts = _parse(con, batch, rules, always_strict)
        parsed.append(_as_parsed(columns, batch, start))
        dead.append(build_dead_letters(verdicts, batch, rules.keeps_unreadable))
        start += batch.num_rows
    return Validated(pa.concat_tables(parsed), pa.concat_tables(dead))


def _parse(
    con: duckdb.DuckDBPyConnection, batch: pa.RecordBatch, rules: ValidateRules, always_strict: bool
) -> tuple[pa.Table, list[Verdict]]:
    """The columns of the events of a batch, ordered by _row, and verdicts on the other records."""
    sizes, values = batch.column("value_bytes").to_numpy(), batch.column("value")
    is_small = sizes <= rules.message_bytes_max
    verdicts = [_too_large(row, sizes[row], rules) for row in np.flatnonzero(~is_small).tolist()]
    if verdicts:
        # Large values go no further, or a batch of them would take its size several times over.
        values = pc.if_else(pa.array(is_small), values, pa.scalar(None, pa.binary()))
    texts = scan_values(values)
    found = _run_parse(con, np.arange(len(values)), texts)
    signature = count_members(texts)
    proven = is_proven(found, signature) & is_small & (not always_strict)
    columns = found.append_column("extra", pa.nulls(len(found), pa.string()))
    rows = np.flatnonzero(is_small & ~proven)
    if not len(rows):
        return columns.filter(pa.array(proven)) if verdicts else columns, verdicts
    passed = texts.is_valid().to_numpy(zero_copy_only=False) & signature.is_countable & (not always_strict)
    counts = [signature.members[row] if passed[row] else None for row in rows.tolist()]
    reading = read_strictly(zip(rows.tolist(), values.take(pa.array(rows)).to_pylist(), counts, strict=True), rules.keeps_unreadable)
    verdicts += reading.verdicts
    if not reading.rows:
        return columns.filter(pa.array(proven)), verdicts
    fitted_rows = np.array(reading.rows)
    fitted = _run_parse(con, fitted_rows, pa.array(reading.documents, pa.string()))
    fitted = fitted.append_column("extra", pa.array(reading.extras, pa.string()))
    is_read = fitted["event_type"].is_valid().to_numpy()
    verdicts += [Verdict(row, Reason.NOT_JSON, _UNREAD, is_readable=False) for row in fitted_rows[~is_read].tolist()]
    # One take over both: the proven rows, and the fitted ones at their places among them.
    places = np.concatenate([np.flatnonzero(proven), len(found) + np.flatnonzero(is_read)])
    order = np.argsort(np.concatenate([np.flatnonzero(proven), fitted_rows[is_read]]))
    return pa.concat_tables([columns, fitted]).combine_chunks().take(pa.array(places[order])), verdicts


def _run_parse(con: duckdb.DuckDBPyConnection, rows: Rows, texts: pa.Array) -> pa.Table:
    """What parse.sql says of these texts, in their order; `_row` is from `rows`."""
    con.register("records", pa.table({"_row": pa.array(rows, pa.int32()), "value": texts}))
    try:
        given = {"structure": load_structure(), "ms_min": MS_MIN, "ms_max": MS_MAX}
        try:
            return con.execute(_PARSE, given).to_arrow_table()
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            # A text that DuckDB does not read, though the pre-scan passed it, makes its own row null; a sixth slower.
            return con.execute(_PARSE.replace(_TRANSFORM, f"try({_TRANSFORM})"), given).to_arrow_table()
    finally:
        con.unregister("records")


def _too_large(row: int, size: int, rules: ValidateRules) -> Verdict:
    error = f"The message has {size} bytes; expected at most {rules.message_bytes_max} (setting MESSAGE_BYTES_MAX)."
    return Verdict(row, Reason.TOO_LARGE, error, is_readable=False)


def _as_parsed(columns: pa.Table, batch: pa.RecordBatch, start: int) -> pa.Table:
    """`columns` with the records' positions, ids where none were sent, and `_row` counted from `start`."""
    rows = columns["_row"]
    records = batch.select([*_POSITION, "origin"])
    if len(rows) != batch.num_rows:
        records = records.take(rows.combine_chunks())
    named = {name: columns[name] for name in (*_SENT, "extra")} | {name: records.column(name) for name in _POSITION}
    named["_row"] = pc.add(rows, pa.scalar(start, pa.int32()))
    is_sent = pc.fill_null(pc.not_equal(columns["event_id"], ""), False)
    if not pc.all(is_sent).as_py():
        place = [records.column(name).cast(pa.string()) for name in ("_topic_id", "_partition", "_offset")]
        derived = pc.coalesce(records.column("origin"), pc.binary_join_element_wise(*place, "/"))
        named["event_id"] = pc.if_else(is_sent, columns["event_id"], derived)
    return pa.table({name: named[name] for name in PARSED.names}).cast(PARSED)
