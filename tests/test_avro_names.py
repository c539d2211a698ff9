"""A type may be named as it pleases: what is read by any schema is what fastavro reads, whatever its names look like."""

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import fastavro
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.avro import plan
from agents.avro.datums import write_documents
from agents.avro.plan import Kind
from agents.avro.writer_schema import SchemaError, read_schema
from tests.avro_records import varint

BYTES_MAX = 1_000_000
# Names that look like Avro's own words, and some that do not.
NAMES = [*(kind.name.capitalize() for kind in Kind), *(kind.name for kind in Kind), "sTRING", "Error", "Click", "_1"]
Schema = Any


def read_ours(schema: Schema, datum: bytes) -> Any:
    (found,) = write_documents(pa.array([datum], pa.binary()), 0, read_schema(json.dumps(schema), "it"), BYTES_MAX)
    assert isinstance(found, bytes), found
    return json.loads(found)


def read_by_fastavro(schema: Schema, datum: bytes) -> Any:
    read = io.BytesIO(datum)
    found = fastavro.schemaless_reader(read, fastavro.parse_schema(json.loads(json.dumps(schema))), None)
    assert read.read() == b""
    return json.loads(msgspec.json.encode(found))


def referring(name: str, **spelled: Any) -> Schema:
    """A record whose first field declares an enum of this name, and whose second refers to it."""
    enum = {"type": "enum", "name": name, "symbols": ["X", "Y"]}
    return {"type": "record", "name": "Top", "fields": [{"name": "a", "type": enum}, {"name": "b", "type": name}]} | spelled


@pytest.mark.parametrize("spelled", [{}, {"namespace": "com.example"}], ids=["bare", "in a namespace"])
@pytest.mark.parametrize("name", NAMES)
def test_type_of_any_name_is_found_by_it(name: str, spelled: dict[str, Any]) -> None:
    schema, datum = referring(name, **spelled), varint(0) + varint(1)
    assert read_ours(schema, datum) == read_by_fastavro(schema, datum) == {"a": "X", "b": "Y"}


PRIMITIVES = {
    **{
        "null": b"",
        "boolean": b"\1",
        "int": varint(1),
        "long": varint(-7),
        "float": struct.pack("<f", 0.5),
        "double": struct.pack("<d", 2.5),
    },
    **{"bytes": varint(1) + b"a", "string": varint(1) + b"a"},
}


@pytest.mark.parametrize(("name", "value"), PRIMITIVES.items())
def test_primitive_is_the_primitive_even_where_a_type_has_its_name(name: str, value: bytes) -> None:
    """As fastavro has it; Avro does not let a type have such a name."""
    schema, datum = referring(name), varint(0) + value
    assert read_ours(schema, datum) == read_by_fastavro(schema, datum)


@pytest.mark.parametrize("name", ["record", "error", "array", "map", "enum", "fixed", "union"])
def test_name_that_is_a_word_of_avro_is_refused_with_its_schema(name: str) -> None:
    with pytest.raises(SchemaError, match=f"'{name}', which is a word of Avro itself|redefined"):
        read_schema(json.dumps(referring(name)), "it")
    assert read_ours(referring(name, namespace="com.example"), varint(0) + varint(1)) == {"a": "X", "b": "Y"}


def test_control_with_case_ignored_another_value_lands(monkeypatch: pytest.MonkeyPatch) -> None:
    class Folded(dict[str, Kind]):
        def __contains__(self, name: object) -> bool:
            return super().__contains__(str(name).lower())

        def __getitem__(self, name: str) -> Kind:
            return super().__getitem__(name.lower())

    monkeypatch.setattr(plan, "_PRIMITIVES", Folded(plan._PRIMITIVES))
    assert read_ours(referring("Long"), varint(0) + varint(1)) == {"a": "X", "b": 1}


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """A record of anything, with types that are referred to by their names."""
    free, declared = draw(st.permutations(NAMES)), list[str]()

    def declare(kind: str, **rest: Any) -> Schema:
        name = free.pop()
        found = {"type": kind, "name": name, **rest}
        if kind == "record":
            fields = range(draw(st.integers(0, 3)))
            found["fields"] = [
                {"name": f"{draw(st.sampled_from(['f', 'Long', 'string', 'x' * 40]))}{place}", "type": build(2)} for place in fields
            ]
        declared.append(name)
        return found

    def build_union() -> Schema:
        others = st.lists(st.sampled_from(declared), max_size=1) if declared else st.just([])
        return ["null", draw(st.sampled_from(["long", "string", "double"])), *draw(others)]

    def build(depth: int) -> Schema:
        makers: dict[str, Callable[[], Schema]] = {
            "leaf": lambda: draw(st.sampled_from(list(PRIMITIVES))),
            "enum": lambda: declare("enum", symbols=["RED", "Long", "null"]),
            "fixed": lambda: declare("fixed", size=draw(st.integers(0, 20))),
        }
        if depth:
            makers |= {
                "array": lambda: {"type": "array", "items": build(depth - 1)},
                "map": lambda: {"type": "map", "values": build(depth - 1)},
                "union": build_union,
            }
        if depth and len(free) > 25:
            makers["record"] = lambda: declare("record")
        if declared:
            makers["reference"] = lambda: draw(st.sampled_from(declared))
        return makers[draw(st.sampled_from([*makers, *makers, "reference" if declared else "leaf"]))]()

    fields = [{"name": f"top{place}", "type": build(2)} for place in range(draw(st.integers(1, 6)))]
    return {"type": "record", "name": "Top", "fields": fields} | draw(st.sampled_from([{}, {"namespace": "a.b"}]))


def write_text(text: str) -> bytes:
    return varint(len(text.encode())) + text.encode()


# Bytes of any value.
WRITTEN: dict[str, st.SearchStrategy[bytes]] = {
    "null": st.just(b""),
    "boolean": st.sampled_from([b"\0", b"\1"]),
    "int": st.integers(-(2**31), 2**31 - 1).map(varint),
    "long": st.integers(-(2**63), 2**63 - 1).map(varint),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda number: struct.pack("<f", number)),
    "double": st.floats(allow_nan=False, allow_infinity=False).map(lambda number: struct.pack("<d", number)),
    "bytes": st.binary(max_size=9).map(lambda data: varint(len(data)) + data),
    "string": st.text(max_size=9).map(write_text),
}


def write(draw: st.DrawFn, schema: Schema, named: dict[str, Schema]) -> bytes:
    """Bytes of any datum of the schema."""
    if isinstance(schema, str):
        return draw(WRITTEN[schema]) if schema in WRITTEN else write(draw, named[schema], named)
    if isinstance(schema, list):
        branch = draw(st.integers(0, len(schema) - 1))
        return varint(branch) + write(draw, schema[branch], named)
    if schema["type"] == "record":
        return b"".join(write(draw, field["type"], named) for field in schema["fields"])
    if schema["type"] == "enum":
        return varint(draw(st.integers(0, len(schema["symbols"]) - 1)))
    if schema["type"] == "fixed":
        return draw(st.binary(min_size=schema["size"], max_size=schema["size"]))
    is_map = schema["type"] == "map"
    keys = draw(st.lists(st.text(max_size=5), max_size=2, unique=True))
    items = [(write_text(key) if is_map else b"") + write(draw, schema["values" if is_map else "items"], named) for key in keys]
    return (varint(len(items)) + b"".join(items) if items else b"") + varint(0)


def find_named(schema: Schema) -> dict[str, Schema]:
    """The types that a schema declares, by name."""
    if isinstance(schema, str | int):
        return {}
    found: dict[str, Schema] = {}
    for part in schema if isinstance(schema, list) else schema.values():
        found |= find_named(part)
    is_named = isinstance(schema, dict) and schema["type"] in ("record", "enum", "fixed")
    return found | ({schema["name"]: schema} if is_named else {})


@given(st.data())
def test_whatever_the_schema_the_json_is_that_of_fastavros_reading(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    datum = data.draw(st.composite(lambda draw: write(draw, schema, find_named(schema)))())
    assert read_ours(schema, datum) == read_by_fastavro(schema, datum)
