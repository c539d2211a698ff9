"""What JSON says of an Avro type that JSON has not: times in ms, decimals as numbers, bytes in base64, JSON that travels as text.

fastavro calls a function of its table for a logical type where the value is read, whatever union it stands in. The schemas that are read by
have logical types of ours in place of their own, so that no value becomes a Python object that JSON then cannot hold.
"""

import base64
import math
import uuid
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any

import fastavro.read
import msgspec

from agents.parsing.exact_json import Unreadable, parse_counted
from agents.parsing.record_shape import Kind, Place, load_shape
from schemas.records import Reason

# Bytes of a decimal that is certainly beyond a 64-bit float, whose digits nobody should have to count.
_DECIMAL_BYTES_MAX = 2048
_EXACT = Context(prec=2 * 2048 * 8)
_PREFIX = "headwater-"
FINITE = _PREFIX + "finite"
Type = dict[str, Any]


def name_type(declared: Mapping[str, Any]) -> Type:
    """A primitive or fixed type with the logical type by which it is read, or with none."""
    kind, logical = declared["type"], str(declared.get("logicalType", "")).removeprefix("local-")
    read: Type = {name: declared[name] for name in ("type", "name", "namespace", "size") if name in declared}
    if kind == "long" and logical in {"timestamp-micros", "timestamp-nanos"}:
        return read | {"logicalType": _PREFIX + logical}
    if kind in {"bytes", "fixed"}:
        if logical == "decimal" and type(scale := declared.get("scale", 0)) is int and 0 <= scale <= _DECIMAL_BYTES_MAX:
            return read | {"logicalType": _PREFIX + "decimal", "scale": scale}
        if kind == "fixed" and logical == "uuid" and declared.get("size") == 16:
            return read | {"logicalType": _PREFIX + "uuid"}
        return read | {"logicalType": _PREFIX + "base64"}
    if kind in {"float", "double"}:
        return read | {"logicalType": FINITE}
    return read


def name_document_type(name: str, declared: Any) -> Any:
    """The type of a field of the record itself, where the stream record has any object and a text holds it as JSON."""
    place = load_shape().get(name)
    if not isinstance(place, Place) or place.kind is not Kind.DOCUMENT:
        return declared
    if isinstance(declared, list):
        return [name_document_type(name, part) for part in declared]
    kind = declared.get("type") if isinstance(declared, dict) else declared
    return {"type": "string", "logicalType": _PREFIX + "json"} if kind == "string" else declared


def _read_micros(value: int, *_: object) -> int:
    return value // 1_000


def _read_nanos(value: int, *_: object) -> int:
    return value // 1_000_000


def _read_decimal(value: bytes, schema: Type, *_: object) -> Decimal:
    if len(value) > _DECIMAL_BYTES_MAX:
        raise _out_of_range(f"a decimal of {len(value)} bytes")
    return Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-int(schema.get("scale", 0)), _EXACT)


def _read_base64(value: bytes, *_: object) -> str:
    return base64.b64encode(value).decode()


def _read_uuid(value: bytes, *_: object) -> str:
    return str(uuid.UUID(bytes=value))


def _read_finite(value: float, *_: object) -> float:
    if not math.isfinite(value):
        raise _out_of_range(repr(value))
    return value


def _read_json(value: str, *_: object) -> Any:
    """An object as it stands in the text; a text that holds none stays one."""
    try:
        document = parse_counted(value.encode())
    except Unreadable:
        return value
    return msgspec.Raw(value.encode()) if isinstance(document, dict) else value


def _out_of_range(found: str) -> Unreadable:
    return Unreadable(Reason.NUMBER_OUT_OF_RANGE, "A number of the Avro record is none that JSON has", "a finite one", found)


_READERS: Mapping[str, Callable[..., Any]] = {
    "long-headwater-timestamp-micros": _read_micros,
    "long-headwater-timestamp-nanos": _read_nanos,
    "bytes-headwater-decimal": _read_decimal,
    "fixed-headwater-decimal": _read_decimal,
    "bytes-headwater-base64": _read_base64,
    "fixed-headwater-base64": _read_base64,
    "fixed-headwater-uuid": _read_uuid,
    "float-headwater-finite": _read_finite,
    "double-headwater-finite": _read_finite,
    "string-headwater-json": _read_json,
}
fastavro.read.LOGICAL_READERS.update(_READERS)
