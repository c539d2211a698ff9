"""The shape of a stream record, read from its Avro schema: which names have a place in the tables, and what belongs there."""

import functools
import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from schemas.tables import FOLDER


class Kind(IntEnum):
    """What belongs at a place that has a column; the numbers are those of agents/native/record_reader.c."""

    TEXT = 0
    MILLISECONDS = 1  # since 1970
    TEXTS = 2  # an object of texts
    NUMBERS = 3  # an object of numbers
    DOCUMENT = 4  # any object, kept as JSON text


@dataclass(frozen=True)
class Place:
    """A name that has a column of PARSED. `is_required`: no record is an event without it."""

    kind: Kind
    column: str
    is_required: bool


# A name's place: a column, or a shape for an object with columns below it.
Shape = dict[str, "Place | Shape"]

_KINDS = {"string": Kind.TEXT, "long": Kind.MILLISECONDS}
_MAP_KINDS = {"string": Kind.TEXTS, "double": Kind.NUMBERS}


@functools.cache
def load_shape() -> Shape:
    """The shape of schemas/stream_record.avsc. A field's own property `column` names its column where that has another name."""
    return _shape(json.loads((FOLDER / "stream_record.avsc").read_text()))


def _shape(record: dict[str, Any]) -> Shape:
    return {field["name"]: _place(field) for field in record["fields"]}


def _place(field: dict[str, Any]) -> Place | Shape:
    declared = field["type"]
    is_required = not isinstance(declared, list)
    if isinstance(declared, list):
        (declared,) = [part for part in declared if part != "null"]
    column = field.get("column", field["name"])
    if field.get("json"):
        return Place(Kind.DOCUMENT, column, is_required)
    if isinstance(declared, str):
        return Place(_KINDS[declared], column, is_required)
    if declared["type"] == "map":
        return Place(_MAP_KINDS[declared["values"]], column, is_required)
    return _shape(declared)
