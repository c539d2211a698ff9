"""The strict reading of one JSON text: exact where parsers differ, and with the reason where it is none.

RFC 8259 leaves open what parsers then settle each in its own way; here one way holds. A text is one value in strict UTF-8 without
byte order mark, nested no deeper than 64, without NaN or Infinity, without lone surrogates or bare control characters, no number
beyond a 64-bit float, and no name twice in an object. The escape \\u0000 is a character like any other: it is kept.
"""

import json
import math
import re
from collections import Counter
from typing import Any

import msgspec

from agents.native.library import count_names
from schemas.records import Reason

DEPTH_MAX = 64
_SHOWN_MAX = 100
# Shorter numbers without an exponent are below 1e300.
_DIGITS_SAFE = 300
# A run of 300 digits has six of every fiftieth byte, whatever it starts at.
_STRIDE, _LONG_DIGITS = 50, b"000000"
_DIGITS_ALIKE = bytes.maketrans(b"0123456789", b"0000000000")
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[{])|[\]}]', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Unreadable(ValueError):
    """A text that is not JSON as said above.

    `error` is for people and quotes what was found; `bare_error` says the same and quotes nothing of the text.
    """

    def __init__(self, reason: Reason, what: str, expected: str, found: str | None = None) -> None:
        self.reason = reason
        self.bare_error = f"{what}; expected {expected}."
        self.error = self.bare_error if found is None else f"{what}, found {found}; expected {expected}."
        super().__init__(self.error)


def parse_exactly(value: bytes) -> object:
    """Parse one JSON text.

    Objects are dicts in the order sent. Numbers are `msgspec.Raw`, their literal as sent (-0 is 0); `msgspec.json.encode` writes
    the whole back with every number as it was.

    Raises Unreadable.
    """
    if not value:
        raise Unreadable(Reason.EMPTY, "The value is empty", "one JSON object")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(
            Reason.NOT_UTF8, f"Byte {error.start} is not UTF-8 ({error.reason})", "strict UTF-8", f"0x{value[error.start]:02x}"
        ) from None
    if text.startswith("\ufeff"):
        raise Unreadable(Reason.NOT_JSON, "The value starts with a byte order mark", "JSON without one")
    _check_depth(value)
    try:
        document = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Unreadable(
            Reason.NOT_JSON,
            f"Character {error.pos} is not JSON ({error.msg})",
            "one JSON object",
            repr(text[error.pos : error.pos + 20]) if error.pos < len(text) else "the end",
        ) from None
    if _SURROGATE.search(value):
        _check_surrogates(document)
    return document


def parse_counted(value: bytes) -> object:
    """The same as `parse_exactly` at half the time, but that whole numbers are int.

    A quick parser drops a name that stands twice, and the count of names in the text tells (agents/native/record_reader.c); where it
    differs, or anything else is in doubt, `parse_exactly` decides.

    Raises Unreadable.
    """
    document = _parse_quickly(value)
    return parse_exactly(value) if document is None else document


def read_number(number: msgspec.Raw | int) -> float:
    """A parsed number as a 64-bit float."""
    return float(number if type(number) is int else bytes(number))


def write_json(document: object) -> str:
    """The compact JSON text of what `parse_exactly` returned."""
    return msgspec.json.encode(document).decode()


def shorten(document: object) -> str:
    """A parsed value as an error quotes it: its JSON text, cut to a hundred characters."""
    text = write_json(document)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}... ({len(text)} characters)"


def _parse_quickly(value: bytes) -> Any:
    """The document; None where it is no object, or anything is in doubt."""
    if value.count(b"{") + value.count(b"[") > DEPTH_MAX or _LONG_DIGITS in value[::_STRIDE].translate(_DIGITS_ALIKE):
        return None
    try:
        document = _decode_quickly(value)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return document if type(document) is dict and _count_names(document) == count_names(value) else None


def _check_depth(value: bytes) -> None:
    """Walk over the brackets outside of texts, so that no parser has to descend into what is refused anyway."""
    if value.count(b"{") + value.count(b"[") <= DEPTH_MAX:
        return
    depth = 0
    for match in _BRACKETS.finditer(value):
        if match.lastindex:
            depth += 1
            if depth > DEPTH_MAX:
                raise Unreadable(Reason.TOO_DEEP, f"Byte {match.start()} opens level {depth}", f"at most {DEPTH_MAX} levels of nesting")
        elif value[match.start()] != 0x22:
            depth -= 1


def _count_names(document: Any) -> int:
    count = 0
    waiting = [document]
    while waiting:
        inner = waiting.pop()
        if type(inner) is dict:
            count += len(inner)
            inner = inner.values()
        for value in inner:
            if type(value) is dict or type(value) is list:
                waiting.append(value)
    return count


def _check_surrogates(document: object) -> None:
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError:
        raise Unreadable(
            Reason.NOT_JSON, "A text has half of a surrogate pair (\\ud800 to \\udfff)", "characters that UTF-8 can hold"
        ) from None


def _build_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(members)
    if len(built) != len(members):
        double = Counter(name for name, _ in members).most_common(1)[0][0]
        raise Unreadable(Reason.DUPLICATE_KEY, "A name stands twice in one object", "each name once", ascii(double[:_SHOWN_MAX]))
    return built


def _keep_number(literal: str) -> msgspec.Raw:
    if (len(literal) > _DIGITS_SAFE or "e" in literal or "E" in literal) and math.isinf(float(literal)):
        found = literal if len(literal) <= _SHOWN_MAX else f"{literal[:20]}... ({len(literal)} characters)"
        raise Unreadable(Reason.NUMBER_OUT_OF_RANGE, "A number is beyond a 64-bit float", "at most 1.797e308 either way", found)
    return msgspec.Raw("0" if literal == "-0" else literal)


def _refuse_constant(literal: str) -> object:
    raise Unreadable(Reason.NOT_JSON, f"{literal} is no JSON number", "a number, or null")


_decoder = json.JSONDecoder(
    object_pairs_hook=_build_object, parse_int=_keep_number, parse_float=_keep_number, parse_constant=_refuse_constant
)
_decode_quickly = msgspec.json.Decoder(float_hook=_keep_number).decode
