"""Each message is read by itself, strictly, before anything columnar sees it. Without this guard a flush goes to a columnar reader as one block."""

import io
from collections.abc import Sequence
from typing import Any
from unittest import mock

import msgspec
import pyarrow as pa
import pyarrow.json

import agents.event_steps
from agents.parsing.verdict import Verdict
from agents.validate import Validated, ValidateRules, validate_batch
from schemas.records import RECORDS


def validate_as_block(records: pa.Table, rules: ValidateRules, known: Sequence[Verdict] = ()) -> Validated:
    """Hand all messages to pyarrow.json as lines, and take its rows one after the other for those of the records; a block that it refuses is dead."""
    lines = b"\n".join(value or b"" for value in records["value"].to_pylist())
    try:
        rows = pyarrow.json.read_json(io.BytesIO(lines)).to_pylist()
        values = [msgspec.json.encode(_without_nulls(row)) for row in rows]
    except pa.ArrowInvalid:
        values = []
    values = (values + [b""] * records.num_rows)[: records.num_rows]
    place = RECORDS.get_field_index("value")
    return validate_batch(records.set_column(place, RECORDS.field("value"), pa.array(values, pa.binary())), rules, known)


def _without_nulls(found: Any) -> Any:
    """A row without the members that other rows of its block have."""
    if isinstance(found, dict):
        return {name: _without_nulls(value) for name, value in found.items() if value is not None}
    return found


def remove() -> None:
    mock.patch.object(agents.event_steps, "validate_batch", validate_as_block).start()
