"""The envelope in which the collector writes down what it refused: one JSON text, by schemas/rejected_event.avsc.

An envelope of a later release may have members more: they are passed over, as Avro readers do.
"""

import base64
import binascii
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.parsing.exact_json import Unreadable, parse_counted, read_number, shorten
from agents.parsing.fit import MS_MAX, MS_MIN
from schemas.records import Reason
from schemas.tables import FOLDER

KNOWN = ("event_id", "event_type", "app_id", "endpoint_id", "event_timestamp")
_EXPECTED = {"string": "a text", "long": "a whole number", "record": "an object"}
# Beyond it a 64-bit float no longer tells whole numbers apart.
_WHOLE_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an envelope says. `value` is what was refused, None when it is not kept; `known` what could be read of it (event_timestamp
    in ms), each None where it could not."""

    reason: Reason
    error: str
    value: bytes | None
    value_bytes: int
    known: Mapping[str, Any]


class NoEnvelope(ValueError):
    """A JSON object that is no envelope: the first field that is wrong.

    `error` quotes what was found, `bare_error` says the same and quotes nothing. `known` has what could be read all the same;
    `is_veiled`: a member holds base64, into which nobody looks.
    """

    def __init__(self, reason: Reason, path: str, expected: str, value: Any, document: Mapping[str, Any]) -> None:
        found = "missing" if value is None else shorten(value)
        self.reason = reason
        self.error = f"Field '{path}' is {found}; expected {expected}."
        self.bare_error = self.error if value is None else f"Field '{path}' is something else; expected {expected}."
        self.known = {name: _read_known(name, document.get(name)) for name in KNOWN}
        self.is_veiled = document.get("value_base64") is not None
        super().__init__(self.error)


def read_envelope(value: bytes) -> Refusal:
    """Read the value of a record of rejected-events.

    Raises Unreadable for what is no JSON object, and NoEnvelope with the first field that is wrong.
    """
    document = parse_counted(value)
    if not isinstance(document, dict):
        raise Unreadable(Reason.NOT_AN_OBJECT, "The value is JSON and no object", "one JSON object", shorten(document))
    for name, (kind, is_required, symbols) in _load_fields().items():
        found = document.get(name)
        expected = f"one of {', '.join(symbols)}" if symbols else _EXPECTED[kind]
        if found is None:
            if is_required:
                raise NoEnvelope(Reason.MISSING_FIELD, name, expected, None, document)
        elif not _is_of(kind, found) or (symbols and found not in symbols):
            raise NoEnvelope(Reason.WRONG_TYPE, name, expected, found, document)
    value_bytes = _read_whole(document["value_bytes"])
    if value_bytes is None or value_bytes < 0:
        raise NoEnvelope(Reason.WRONG_TYPE, "value_bytes", "a size in bytes, 0 or more", document["value_bytes"], document)
    return Refusal(
        Reason(document["reason"]),
        document["error"],
        _read_refused(document),
        value_bytes,
        {name: _read_known(name, document.get(name)) for name in KNOWN},
    )


def _read_refused(document: Mapping[str, Any]) -> bytes | None:
    text, encoded = document.get("value"), document.get("value_base64")
    if encoded is None:
        return None if text is None else str(text).encode()
    if text is not None:
        raise NoEnvelope(Reason.WRONG_TYPE, "value_base64", "null beside a value", encoded, document)
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise NoEnvelope(Reason.WRONG_TYPE, "value_base64", "base64", encoded, document) from None


def _read_known(name: str, found: Any) -> Any:
    """What the column of a dead letter takes; None for anything else, which stands in what was refused."""
    if name != "event_timestamp":
        return found if isinstance(found, str) else None
    moment = _read_whole(found)
    return moment if moment is not None and MS_MIN <= moment <= MS_MAX else None


def _is_of(kind: str, found: Any) -> bool:
    if kind == "record":
        return isinstance(found, dict)
    return _is_whole(found) if kind == "long" else isinstance(found, str)


def _is_whole(found: Any) -> bool:
    return type(found) is int or (type(found) is msgspec.Raw and read_number(found).is_integer())


def _read_whole(found: Any) -> int | None:
    """A whole number that a float holds exactly; None for anything else."""
    if not _is_whole(found):
        return None
    number = int(read_number(found))
    return number if abs(number) <= _WHOLE_MAX else None


@functools.cache
def _load_fields() -> dict[str, tuple[str, bool, tuple[str, ...]]]:
    """By name, in the order of the schema: Avro type, whether it is required, and for one of a list, the list."""
    fields: dict[str, tuple[str, bool, tuple[str, ...]]] = {}
    for field in json.loads((FOLDER / "rejected_event.avsc").read_text())["fields"]:
        declared = field["type"]
        is_required = not isinstance(declared, list)
        kind = declared if is_required else next(part for part in declared if part != "null")
        name = kind if isinstance(kind, str) else kind["type"]
        symbols = tuple(kind["symbols"]) if name == "enum" else ()
        fields[field["name"]] = ("string" if symbols else name, is_required, symbols)
    return fields
