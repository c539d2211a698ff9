"""A schema by which Avro values were written: read, checked, and made ready to read them by."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro.schema

from agents.avro.plan import Plan, build_plan
from agents.avro.types import name_document_type, name_type

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_COMPLEX = frozenset({"record", "error", "array", "map", "enum", "fixed"})
# What fastavro takes for a kind of type wherever it stands.
_RESERVED = _COMPLEX | {"union", "error_union", "request"}
_EXPECTED_ERRORS = (
    *(fastavro.schema.SchemaParseException, fastavro.schema.UnknownType),
    *(ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError),
)


class SchemaError(ValueError):
    """A text that is no Avro schema, or one by which nothing can be read."""


@dataclass(frozen=True)
class WriterSchema:
    """`schema` is what fastavro reads by, `plan` what a datum is checked by. `name` is how errors call it."""

    name: str
    schema: Any
    plan: Plan


def read_schema(text: str | bytes, name: str, references: Sequence[str | bytes] = ()) -> WriterSchema:
    """Read a schema (.avsc); `references` are the schemas that it names types of, each after those that it needs itself.

    Raises SchemaError.
    """
    named: dict[str, Any] = {}
    try:
        for reference in references:
            fastavro.schema.parse_schema(_prepare(json.loads(reference), True), named)
        parsed = fastavro.schema.parse_schema(_prepare(json.loads(text), True), named)
        if taken := sorted(_RESERVED & named.keys()):
            raise ValueError(f"a type has the name '{taken[0]}', which is a word of Avro itself")
        return WriterSchema(name, parsed, build_plan(parsed, named))
    except _EXPECTED_ERRORS as error:
        raise SchemaError(_explain(error)) from None


def fingerprint(text: str | bytes) -> bytes:
    """The fingerprint that single-object encoding names a schema by: CRC-64-AVRO of its parsing canonical form, in the order of the wire.

    Raises SchemaError.
    """
    try:
        canonical = fastavro.schema.to_parsing_canonical_form(json.loads(text))
        return bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
    except _EXPECTED_ERRORS as error:
        raise SchemaError(_explain(error)) from None


def _prepare(declared: Any, is_top: bool = False) -> Any:
    """The same types without defaults and documentation, each with the logical type by which it is read."""
    if isinstance(declared, list):
        return [_prepare(part, is_top) for part in declared]
    if isinstance(declared, str):
        return name_type({"type": declared}) if declared in _PRIMITIVES else declared
    kind = declared["type"]
    if isinstance(kind, str) and kind in _COMPLEX | _PRIMITIVES:
        return _prepare_declared(declared, kind, is_top)
    # {"type": {"type": ..}} and {"type": "a.name.declared.before"} are the type that they hold.
    return _prepare(kind, is_top)


def _prepare_declared(declared: Mapping[str, Any], kind: str, is_top: bool) -> dict[str, Any]:
    named = {name: declared[name] for name in ("name", "namespace") if name in declared}
    if kind in {"record", "error"}:
        fields = [_prepare_field(field, is_top) for field in declared["fields"]]
        if len({field["name"] for field in fields}) != len(fields):
            raise ValueError(f"record {declared['name']} has a field twice")
        return named | {"type": "record", "fields": fields}
    if kind == "array":
        return {"type": "array", "items": _prepare(declared["items"])}
    if kind == "map":
        return {"type": "map", "values": _prepare(declared["values"])}
    if kind == "enum":
        return named | {"type": "enum", "symbols": [str(symbol) for symbol in declared["symbols"]]}
    if kind == "fixed" and not (type(declared["size"]) is int and 0 <= declared["size"] < 2**31):
        raise ValueError(f"fixed {declared['name']} has size {declared['size']}")
    return name_type(declared)


def _prepare_field(field: Mapping[str, Any], is_top: bool) -> dict[str, Any]:
    name, declared = str(field["name"]), _prepare(field["type"])
    return {"name": name, "type": name_document_type(name, declared) if is_top else declared}


def _explain(error: Exception) -> str:
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    return said if len(said) <= 200 else f"{said[:200]}..."
