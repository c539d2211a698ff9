"""The step `validate`: records become parsed events or dead letters, each record exactly one of the two.

A record goes the short way when the compiled reader takes it: strict JSON that fits the shape of a stream record, every member in its
place. Every other one is read strictly, which either says why it is no event or fits it to the shape; what was fitted goes
through the same reader, so that columns come from one place. Reasons come from one place too: only the strict reading judges a value.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from agents.parsing.read_columns import Mask, read_columns
from agents.parsing.strict import read_strictly
from agents.parsing.verdict import Verdict, build_dead_letters
from schemas.records import DEAD, PARSED, Reason

POSITION = ["_topic_id", "_partition", "_offset", "_appended_at", "_payload_hash"]
_SENT = [name for name in PARSED.names if name not in {"_row", "extra", *POSITION}]
_UNREAD = "The strict reading took the value and the compiled one did not; expected both to agree. Please report it."

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
    """`parsed` has the columns PARSED (or those of another stream's rows) and `dead` the columns DEAD, both in the records' order."""

    parsed: pa.Table
    dead: pa.Table


def validate_batch(records: pa.Table, rules: ValidateRules) -> Validated:
    """Sort records (columns RECORDS) into events and dead letters. Pure."""
    return _validate(records, rules, always_strict=False)


def validate_strictly(records: pa.Table, rules: ValidateRules) -> Validated:
    """The same with every record read strictly: slower, and by contract with the same result."""
    return _validate(records, rules, always_strict=True)


def _validate(records: pa.Table, rules: ValidateRules, always_strict: bool) -> Validated:
    parsed, dead, start = [PARSED.empty_table()], [DEAD.empty_table()], 0
    for batch in records.combine_chunks().to_batches():
        rows, columns, verdicts = _read(batch, rules, always_strict)
        parsed.append(_as_parsed(rows, columns, batch, start))
        if verdicts:
            dead.append(build_dead_letters(verdicts, batch, rules.keeps_unreadable))
        start += batch.num_rows
    return Validated(pa.concat_tables(parsed[-1:] if len(parsed) == 2 else parsed), pa.concat_tables(dead))


def _read(batch: pa.RecordBatch, rules: ValidateRules, always_strict: bool) -> tuple[Rows, pa.Table, list[Verdict]]:
    """(rows that are events, their columns, verdicts on the others) of a batch."""
    sizes, values = batch.column("value_bytes").to_numpy(), batch.column("value")
    is_small: Mask = sizes <= rules.message_bytes_max
    # Large values are not even looked at.
    verdicts = [too_large(row, sizes[row], rules) for row in np.flatnonzero(~is_small).tolist()]
    columns, is_read = read_columns(values, is_small & (not always_strict))
    columns = columns.append_column("extra", pa.nulls(len(columns), pa.string()))
    rows, others = np.flatnonzero(is_read), np.flatnonzero(is_small & ~is_read)
    if not len(others):
        return rows, columns if len(rows) == len(columns) else columns.filter(pa.array(is_read)), verdicts
    reading = read_strictly(zip(others.tolist(), values.take(pa.array(others)).to_pylist(), strict=True), rules.keeps_unreadable)
    verdicts += reading.verdicts
    fitted_rows = np.array(reading.rows, np.int64)
    fitted, is_fit = read_columns(pa.array(reading.documents, pa.string()), np.ones(len(fitted_rows), np.bool_), is_canonical=True)
    fitted = fitted.append_column("extra", pa.array(reading.extras, pa.string()))
    verdicts += [Verdict(row, Reason.NOT_JSON, _UNREAD, is_readable=False) for row in fitted_rows[~is_fit].tolist()]
    # One take over both: the rows that were read, and the fitted ones at their places among them.
    places = np.concatenate([rows, len(columns) + np.flatnonzero(is_fit)])
    rows = np.concatenate([rows, fitted_rows[is_fit]])
    order = np.argsort(rows)
    return rows[order], pa.concat_tables([columns, fitted]).combine_chunks().take(pa.array(places[order])), verdicts


def too_large(row: int, size: int, rules: ValidateRules) -> Verdict:
    """The verdict on a message that is not even looked at."""
    error = f"The message has {size} bytes; expected at most {rules.message_bytes_max} (setting MESSAGE_BYTES_MAX)."
    return Verdict(row, Reason.TOO_LARGE, error, is_readable=False)


def _as_parsed(rows: Rows, columns: pa.Table, batch: pa.RecordBatch, start: int) -> pa.Table:
    """`columns` with the records' positions, ids where none were sent, and `_row` counted from `start`."""
    records = batch.select([*POSITION, "origin"])
    if len(rows) != batch.num_rows:
        records = records.take(pa.array(rows))
    named = {name: columns[name] for name in (*_SENT, "extra")} | {name: records.column(name) for name in POSITION}
    named["_row"] = pa.array(rows + start, pa.int32())
    is_sent = pc.fill_null(pc.not_equal(columns["event_id"], ""), False)
    if not pc.all(is_sent).as_py():
        place = [records.column(name).cast(pa.string()) for name in ("_topic_id", "_partition", "_offset")]
        derived = pc.coalesce(records.column("origin"), pc.binary_join_element_wise(*place, "/"))
        named["event_id"] = pc.if_else(is_sent, columns["event_id"], derived)
    return pa.table([named[name] for name in PARSED.names], schema=PARSED)
