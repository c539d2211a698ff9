"""The fitting of a parsed document to the stream record's shape: what the columns take, and what is left over.

Nothing that was sent is lost. What a column takes is the fitted document; all else is `extra`, each thing at its own path. A null
or an empty object at a place that has columns is the same as nothing there. A text's place takes numbers and literals too, as they
are written; attributes take anything but null, as JSON text; metrics take numbers and texts that say one, as 64-bit floats.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.parsing.exact_json import Unreadable, read_number, shorten, write_json
from agents.parsing.record_shape import Kind, Place, Shape, load_shape
from schemas.records import Reason

# The first and last millisecond of 1900..9999, UTC.
MS_MIN, MS_MAX = -2_208_988_800_000, 253_402_300_799_999
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Looked up for every member: a name of the module costs a tenth of a member of an Enum.
_TEXT, _MILLISECONDS, _TEXTS, _NUMBERS = Kind.TEXT, Kind.MILLISECONDS, Kind.TEXTS, Kind.NUMBERS
_NUMBER = (msgspec.Raw, int)
_NAME = "a text that is not empty"
_CLOCK = "a whole number of milliseconds since 1970, from 1900 to 9999, for example 1767225600000"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A document in two parts: `columns` in the shape, every value of the type wanted; `extra` what no column took, or None."""

    columns: dict[str, Any]
    extra: dict[str, Any] | None


class Unfit(ValueError):
    """A document that is no event. `known` has what could be read: event_id, event_type, app_id, endpoint_id, event_timestamp (ms)."""

    def __init__(self, reason: Reason, error: str, known: dict[str, Any]) -> None:
        self.reason, self.error, self.known = reason, error, known
        super().__init__(error)


def fit_record(document: object) -> Fitted:
    """Fit what `parse_exactly` or `parse_counted` returned to the shape of a stream record.

    Raises Unreadable when it is no object, and Unfit with the first field that is wrong: event_type, event_timestamp, application.app_id.
    """
    if not isinstance(document, dict):
        raise Unreadable(Reason.NOT_AN_OBJECT, "The value is JSON and no object", "one JSON object", shorten(document))
    columns, extra = _fit_object(document, load_shape())
    if not _is_name(document.get("event_type")):
        raise _unfit_required("event_type", document.get("event_type"), _NAME, columns)
    if "event_timestamp" not in columns:
        raise _unfit_clock(document.get("event_timestamp"), columns)
    application = document.get("application")
    if application is None:
        application = {}
    if not isinstance(application, dict):
        raise _unfit_required("application", application, "an object with app_id", columns)
    if not _is_name(application.get("app_id")):
        raise _unfit_required("application.app_id", application.get("app_id"), _NAME, columns)
    return Fitted(columns, extra or None)


def _fit_object(sent: dict[str, Any], shape: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what the columns take, what is left over) of one object."""
    columns: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in sent.items():
        place = shape.get(name)
        if place is None:
            extra[name] = value
        elif value is not None:
            if type(place) is Place:
                taken, left = _fit_endpoint(value) if name == "endpoint" else _fit_value(value, place.kind)
            elif type(place) is dict and type(value) is dict:
                taken, inner = _fit_object(value, place)
                left = inner or None
            else:
                taken, left = None, value
            if taken is not None:
                columns[name] = taken
            if left is not None:
                extra[name] = left
    return columns, extra


def _fit_value(value: Any, kind: Kind) -> tuple[Any, Any]:
    """(what the column of a place takes, what is left over), each None when there is nothing."""
    if kind is _TEXT:
        taken: Any = read_text(value)
    elif kind is _MILLISECONDS:
        taken = read_milliseconds(value)
    elif type(value) is not dict:
        taken = None
    elif kind is _TEXTS:
        return _fit_texts(value)
    elif kind is _NUMBERS:
        return _fit_numbers(value)
    else:
        taken = value
    return (None, value) if taken is None else (taken, None)


def _fit_endpoint(value: Any) -> tuple[Any, Any]:
    """The one text that is JSON itself: senders who do not pack it into a text mean the same."""
    return (write_json(value), None) if type(value) is dict else _fit_value(value, _TEXT)


def _fit_texts(sent: dict[str, Any]) -> tuple[Any, Any]:
    """Texts as they are, all else as its JSON text; null is left over."""
    taken = {name: value if type(value) is str else write_json(value) for name, value in sent.items() if value is not None}
    return taken, None if len(taken) == len(sent) else {name: None for name, value in sent.items() if value is None}


def _fit_numbers(sent: dict[str, Any]) -> tuple[Any, Any]:
    """Numbers as they are and what a text says of one; all else is left over."""
    taken: dict[str, Any] = {}
    left: dict[str, Any] = {}
    for name, value in sent.items():
        if type(value) in _NUMBER:
            taken[name] = value
        elif type(value) is str and _DECIMAL.fullmatch(value) and math.isfinite(float(value)):
            taken[name] = float(value)
        else:
            left[name] = value
    return taken, left or None


def read_text(value: Any) -> str | None:
    """A text, number or literal as text; None for anything else."""
    if type(value) is str:
        return value
    if type(value) in _NUMBER:
        return write_json(value)
    if type(value) is bool:
        return "true" if value else "false"
    return None


def read_milliseconds(value: Any) -> int | None:
    """A whole number within the years that a column takes; None for anything else."""
    if type(value) is int:
        return value if MS_MIN <= value <= MS_MAX else None
    if type(value) is not msgspec.Raw:
        return None
    # All whole numbers of the range are exact as floats.
    number = read_number(value)
    return int(number) if MS_MIN <= number <= MS_MAX and number.is_integer() else None


def _is_name(value: Any) -> bool:
    return type(value) is str and value != ""


def _unfit_required(path: str, value: Any, expected: str, columns: dict[str, Any]) -> Unfit:
    if value is None or value == "":
        found, reason = "empty" if value == "" else "missing", Reason.MISSING_FIELD
    else:
        found, reason = shorten(value), Reason.WRONG_TYPE
    return Unfit(reason, f"Field '{path}' is {found}; expected {expected}.", _known(columns))


def _unfit_clock(value: Any, columns: dict[str, Any]) -> Unfit:
    if value is None:
        return _unfit_required("event_timestamp", None, _CLOCK, columns)
    error = f"Field 'event_timestamp' is {shorten(value)}; expected {_CLOCK}{_hint(value)}."
    return Unfit(Reason.BAD_TIMESTAMP, error, _known(columns))


def _hint(value: Any) -> str:
    """What a wrong clock looks like, as the end of a sentence."""
    if type(value) is str:
        return "; this is a text: send the number"
    if type(value) not in _NUMBER:
        return ""
    number = abs(read_number(value))
    for unit, per_ms in (("seconds", 1e-3), ("microseconds", 1e3), ("nanoseconds", 1e6)):
        # 2001 to 2100 in that unit.
        if 1e12 * per_ms <= number <= 4.2e12 * per_ms:
            return f"; this looks like {unit}"
    return ""


def _known(columns: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": columns.get("event_id") or None,
        "event_type": columns.get("event_type"),
        "app_id": columns.get("application", {}).get("app_id"),
        "endpoint_id": columns.get("client", {}).get("client_id"),
        "event_timestamp": columns.get("event_timestamp"),
    }
