"""Fields of an event by their names in the lake, and where each stands in the stream record."""

import math
from typing import Any

import msgspec

from pipeline.imports.rows import RowError
from pipeline.imports.times import parse_time

Record = dict[str, Any]

# Lake column -> place in the stream record (pinpoint's own shape, with event_id and headwater added).
PLACES: dict[str, tuple[str, ...]] = {
    "event_id": ("event_id",),
    "event_type": ("event_type",),
    "event_timestamp": ("event_timestamp",),
    "arrival_timestamp": ("arrival_timestamp",),
    "event_version": ("event_version",),
    "app_id": ("application", "app_id"),
    "app_cognito_identity_pool_id": ("application", "cognito_identity_pool_id"),
    "app_package_name": ("application", "package_name"),
    "app_title": ("application", "title"),
    "app_version_name": ("application", "version_name"),
    "app_version_code": ("application", "version_code"),
    "sdk_name": ("application", "sdk", "name"),
    "sdk_version": ("application", "sdk", "version"),
    "endpoint_id": ("client", "client_id"),
    "cognito_id": ("client", "cognito_id"),
    "locale_code": ("device", "locale", "code"),
    "locale_country": ("device", "locale", "country"),
    "locale_language": ("device", "locale", "language"),
    "make": ("device", "make"),
    "model": ("device", "model"),
    "platform": ("device", "platform", "name"),
    "platform_version": ("device", "platform", "version"),
    "session_id": ("session", "session_id"),
    "session_start_timestamp": ("session", "start_timestamp"),
    "session_stop_timestamp": ("session", "stop_timestamp"),
    "endpoint": ("client_context", "custom", "endpoint"),
    "legacy_identifier": ("client_context", "custom", "legacy_identifier"),
    "aws_account_id": ("awsAccountId",),
    "facets": ("facets",),
    "client_ip": ("headwater", "client_ip"),
    "user_agent": ("headwater", "user_agent"),
    "sent_at": ("headwater", "sent_at"),
    "received_at": ("headwater", "received_at"),
    "source": ("headwater", "source"),
}
TIMES = frozenset({"event_timestamp", "arrival_timestamp", "session_start_timestamp", "session_stop_timestamp", "sent_at", "received_at"})
# Not a place of its own: the person stands within the endpoint that the record carries.
USER_ID = "user_id"
REQUIRED = ("event_type", "event_timestamp", "app_id")


def put(record: Record, name: str, value: Any) -> None:
    """Set a field in a stream record, making the objects on the way."""
    *folders, last = PLACES[name]
    for folder in folders:
        record = record.setdefault(folder, {})
    record[last] = value


def put_user_id(record: Record, user_id: str) -> None:
    """Set the user within the endpoint that the record carries (JSON inside text, as Pinpoint wrote it)."""
    custom = record.setdefault("client_context", {}).setdefault("custom", {})
    try:
        endpoint = msgspec.json.decode(custom.get("endpoint") or "{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise RowError(
            "endpoint", custom["endpoint"], f"expected a JSON object inside text: {error}", kind="expected a JSON object inside text"
        ) from None
    endpoint.setdefault("User", {})["UserId"] = user_id
    custom["endpoint"] = msgspec.json.encode(endpoint).decode()


def as_text(value: Any) -> str:
    """A value as the text of an attribute: numbers and booleans as JSON writes them, lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    encoded = msgspec.json.encode(value).decode()
    return encoded[1:-1] if encoded.startswith('"') else encoded


def as_number(name: str, value: Any) -> float | int:
    """A value as a metric.

    Raises RowError when it is no finite number.
    """
    try:
        number = value if isinstance(value, int) and not isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise RowError(name, value, "expected a number") from None
    if not math.isfinite(number):
        raise RowError(name, value, "expected a finite number")
    return number


def as_time(name: str, value: Any, time_format: str | None = None, zone: str = "UTC") -> int:
    """A value as a time field, in ms since 1970.

    Raises RowError when it is no time.
    """
    try:
        return parse_time(value, time_format, zone)
    except ValueError as error:
        raise RowError(name, value, f"expected {error}") from None


def require(record: Record, app_id: str | None = None) -> None:
    """Give the app `app_id` to a record that names none; raises RowError for the first field that every event needs and it lacks."""
    if not isinstance(record.get("event_type"), str) or not record["event_type"]:
        raise RowError("event_type", record.get("event_type"), "expected text that is not empty")
    if not isinstance(record.get("event_timestamp"), int):
        raise RowError("event_timestamp", record.get("event_timestamp"), "expected a time")
    application = record.get("application")
    if app_id and not (isinstance(application, dict) and application.get("app_id")):
        record["application"] = application = (application if isinstance(application, dict) else {}) | {"app_id": app_id}
    app_id = application.get("app_id") if isinstance(application, dict) else None
    if not isinstance(app_id, str) or not app_id:
        raise RowError("app_id", app_id, "expected the app's id as text; --app APP gives one to rows that have none")
