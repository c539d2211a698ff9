"""One record of endpoint-updates, read: what was said of an endpoint, a user or an app's attributes, or why it is no update.

Strict where merging depends on it (operation, ids, the endpoint, the clock), as an event's record is; what has no place beside that is left
over, at its own path, so that nothing sent is lost.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agents.parsing.endpoint_shape import Endpoint, EndpointError, read_endpoint
from agents.parsing.exact_json import Unreadable, shorten
from agents.parsing.fit import Unfit, read_milliseconds, read_text
from schemas.records import Reason

REMOVED_TYPES = ("endpoint-custom-attributes", "endpoint-metric-attributes", "endpoint-user-attributes")
_NAME = "a text that is not empty"
_CLOCK = "a whole number of milliseconds since 1970, from 1900 to 9999, for example 1767225600000"
_NOTHING = Endpoint()


class Update(msgspec.Struct, frozen=True):
    """A record that is an update, by the columns of the table endpoint_updates; times in ms since 1970. `update_id` is None where none was sent.

    `record_extra` is what was left over of the record around the endpoint; that of the endpoint stands in its own `extra`.
    """

    operation: str
    app_id: str
    endpoint: Endpoint
    update_id: str | None = None
    endpoint_id: str | None = None
    arrival_timestamp: int | None = None
    removed_type: str | None = None
    removed_names: list[str] | None = None
    client_ip: str | None = None
    user_agent: str | None = None
    sent_at: int | None = None
    received_at: int | None = None
    source: str | None = None
    record_extra: Mapping[str, Any] = {}


def read_update(document: object) -> Update:
    """Read what `parse_exactly` or `parse_counted` returned.

    Raises Unreadable when it is no object, and Unfit with the first member that is wrong; it names the member, the value, and what was expected.
    """
    if not isinstance(document, dict):
        raise Unreadable(Reason.NOT_AN_OBJECT, "The value is JSON and no object", "one JSON object", shorten(document))
    operation = document.get("operation")
    read = _OPERATIONS.get(operation) if type(operation) is str else None
    if read is None:
        raise _unfit("operation", operation, f"one of {', '.join(_OPERATIONS)}", document)
    found: dict[str, Any] = {"operation": operation, "app_id": _read_name("app_id", document), "endpoint": _NOTHING}
    update_id = document.get("update_id")
    if update_id is not None and (text := read_text(update_id)) is None:
        raise _unfit("update_id", update_id, "a text", document)
    found["update_id"] = None if update_id is None else text or None
    arrived = document.get("arrival_timestamp")
    if arrived is not None:
        found["arrival_timestamp"] = read_milliseconds(arrived)
        if found["arrival_timestamp"] is None:
            raise _unfit("arrival_timestamp", arrived, _CLOCK, document, Reason.BAD_TIMESTAMP)
    members = read(document, found)
    extra = {name: value for name, value in document.items() if name not in members and name not in _COMMON and value is not None}
    if (headwater := document.get("headwater")) is not None and (left := _read_sender(headwater, found)):
        extra["headwater"] = left
    if extra:
        found["record_extra"] = extra
    return Update(**found)


def _read_change(document: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    found["endpoint_id"] = _read_name("endpoint_id", document)
    endpoint = document.get("endpoint")
    if type(endpoint) is not dict:
        raise _unfit("endpoint", endpoint, "an object, as Pinpoint's EndpointRequest", document)
    try:
        found["endpoint"] = read_endpoint(endpoint)
    except EndpointError as error:
        raise Unfit(endpoint_reason(error), _say(f"endpoint.{error.field}", error.value, error.expected), known_of(document)) from None
    return ("endpoint_id", "endpoint")


def _read_delete(document: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    """One that names a user counts only while the endpoint is that user's."""
    found["endpoint_id"] = _read_name("endpoint_id", document)
    if document.get("user_id") is not None:
        found["endpoint"] = Endpoint(user_id=_read_name("user_id", document))
    return ("endpoint_id", "user_id")


def _read_delete_user(document: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    found["endpoint"] = Endpoint(user_id=_read_name("user_id", document))
    return ("user_id",)


def _read_removal(document: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    kind, names = document.get("attribute_type"), document.get("names")
    if kind not in REMOVED_TYPES:
        raise _unfit("attribute_type", kind, f"one of {', '.join(REMOVED_TYPES)}", document)
    if type(names) is not list or not names or any(type(name) is not str or not name for name in names):
        raise _unfit("names", names, "a list of names, none of them empty", document)
    found["removed_type"], found["removed_names"] = kind, names
    return ("attribute_type", "names")


_OPERATIONS: dict[str, Callable[[dict[str, Any], dict[str, Any]], tuple[str, ...]]] = {
    "update": _read_change,
    "delete": _read_delete,
    "delete_user": _read_delete_user,
    "remove_attributes": _read_removal,
}
_COMMON = frozenset({"update_id", "operation", "app_id", "arrival_timestamp", "headwater"})
_SENDER: dict[str, Callable[[Any], Any]] = {
    "client_ip": read_text,
    "user_agent": read_text,
    "sent_at": read_milliseconds,
    "received_at": read_milliseconds,
    "source": read_text,
}


def endpoint_reason(error: EndpointError) -> Reason:
    """The reason of a dead letter that an endpoint's member makes."""
    return Reason.BAD_TIMESTAMP if error.field in ("EffectiveDate", "CreationDate") else Reason.WRONG_TYPE


def known_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a dead letter says of an update: its id as event_id, its operation as event_type, app and endpoint, where they are texts."""
    named = {"event_id": "update_id", "event_type": "operation", "app_id": "app_id", "endpoint_id": "endpoint_id"}
    return {column: value for column, name in named.items() if type(value := document.get(name)) is str and value}


def _read_sender(sent: Any, found: dict[str, Any]) -> Any:
    """Put what a record says of its sender into `found`; returns what is left over."""
    if type(sent) is not dict:
        return sent
    left = {}
    for name, value in sent.items():
        if value is None:
            continue
        read = _SENDER.get(name)
        taken = None if read is None else read(value)
        if taken is None:
            left[name] = value
        else:
            found[name] = taken
    return left


def _read_name(name: str, document: dict[str, Any]) -> str:
    value = document.get(name)
    if type(value) is not str or not value:
        raise _unfit(name, value, _NAME, document)
    return value


def _unfit(name: str, value: Any, expected: str, document: dict[str, Any], reason: Reason = Reason.WRONG_TYPE) -> Unfit:
    if value is None or value == "":
        return Unfit(Reason.MISSING_FIELD, _say(name, "empty" if value == "" else "missing", expected), known_of(document))
    return Unfit(reason, _say(name, shorten(value), expected), known_of(document))


def _say(name: str, found: str, expected: str) -> str:
    return f"Field '{name}' is {found}; expected {expected}."
