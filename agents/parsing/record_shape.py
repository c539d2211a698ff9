"""The shape of a stream record, read from its Avro schema: which names have a place in the tables, and what belongs there."""

import functools
import json
from enum import Enum
from typing import Any

from schemas.tables import FOLDER


class Kind(Enum):
    """What belongs at a place that has a column."""

    TEXT = "text"
    MILLISECONDS = "milliseconds since 1970"
    TEXTS = "an object of texts"
    NUMBERS = "an object of numbers"
    DOCUMENT = "any object, kept as JSON text"


# Numbers are read as JSON text, from which it can still be told that they are numbers: DuckDB takes "12" and true for one too.
_DUCKDB = {
    Kind.TEXT: "VARCHAR",
    Kind.MILLISECONDS: "JSON",
    Kind.TEXTS: "MAP(VARCHAR, VARCHAR)",
    Kind.NUMBERS: "JSON",
    Kind.DOCUMENT: "JSON",
}

# A name's place: a kind for a column, a shape for an object with columns below it.
Shape = dict[str, "Kind | Shape"]

_KINDS = {"string": Kind.TEXT, "long": Kind.MILLISECONDS}
_MAP_KINDS = {"string": Kind.TEXTS, "double": Kind.NUMBERS}


@functools.cache
def load_shape() -> Shape:
    """The shape of schemas/stream_record.avsc."""
    return _shape(json.loads((FOLDER / "stream_record.avsc").read_text()))


@functools.cache
def load_structure() -> str:
    """The same as the structure text of DuckDB's json_transform."""
    return json.dumps(_structure(load_shape()))


def _shape(record: dict[str, Any]) -> Shape:
    return {field["name"]: _place(field) for field in record["fields"]}


def _place(field: dict[str, Any]) -> "Kind | Shape":
    declared = field["type"]
    if isinstance(declared, list):
        (declared,) = [part for part in declared if part != "null"]
    if field.get("json"):
        return Kind.DOCUMENT
    if isinstance(declared, str):
        return _KINDS[declared]
    if declared["type"] == "map":
        return _MAP_KINDS[declared["values"]]
    return _shape(declared)


def _structure(shape: Shape) -> dict[str, Any]:
    return {name: _structure(place) if isinstance(place, dict) else _DUCKDB[place] for name, place in shape.items()}
