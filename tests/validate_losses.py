"""What of a message is neither in a column nor in extra, found without the code that put it there."""

import json
from typing import Any


def read_literally(text: str | bytes) -> Any:
    """JSON with every number as written."""
    return json.loads(text, parse_float=Literal, parse_int=Literal)


class Literal(str):
    """A number as written."""


COLUMNS = {
    "event_id": "event_id",
    "event_type": "event_type",
    "event_timestamp": "event_timestamp",
    "arrival_timestamp": "arrival_timestamp",
    "event_version": "event_version",
    "application.app_id": "app_id",
    "application.cognito_identity_pool_id": "app_cognito_identity_pool_id",
    "application.package_name": "app_package_name",
    "application.title": "app_title",
    "application.version_name": "app_version_name",
    "application.version_code": "app_version_code",
    "application.sdk.name": "sdk_name",
    "application.sdk.version": "sdk_version",
    "client.client_id": "endpoint_id",
    "client.cognito_id": "cognito_id",
    "device.locale.code": "locale_code",
    "device.locale.country": "locale_country",
    "device.locale.language": "locale_language",
    "device.make": "make",
    "device.model": "model",
    "device.platform.name": "platform",
    "device.platform.version": "platform_version",
    "session.session_id": "session_id",
    "session.start_timestamp": "session_start_timestamp",
    "session.stop_timestamp": "session_stop_timestamp",
    "attributes": "attributes",
    "metrics": "metrics",
    "client_context.custom.endpoint": "endpoint",
    "client_context.custom.legacy_identifier": "legacy_identifier",
    "awsAccountId": "aws_account_id",
    "facets": "facets",
    "headwater.client_ip": "client_ip",
    "headwater.user_agent": "user_agent",
    "headwater.sent_at": "sent_at",
    "headwater.received_at": "received_at",
    "headwater.source": "source",
}
OBJECTS = {path.rpartition(".")[0] for path in COLUMNS} | {"client_context", "attributes", "metrics"}


def find_lost(sent: Any, extra: Any, row: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Paths of what is neither in `extra` nor in the row's columns."""
    for name, value in sent.items():
        here = (*path, name)
        where = ".".join(here)
        left = extra.get(name, ...) if isinstance(extra, dict) else ...
        if (where in COLUMNS or where in OBJECTS) and (value is None or value == {}):
            continue
        if left is not ... and same(value, left):
            continue
        column = row.get(COLUMNS.get(where, ""))
        if path == ("attributes",):
            if name in dict(row["attributes"]) and stands_for(dict(row["attributes"])[name], value):
                continue
        elif path == ("metrics",):
            if name in dict(row["metrics"]) and dict(row["metrics"])[name] == float(value):
                continue
        elif column is not None and where not in {"attributes", "metrics"} and stands_for(column, value):
            continue
        if isinstance(value, dict) and where in OBJECTS:
            yield from find_lost(value, left if left is not ... else {}, row, here)
        else:
            yield where


def stands_for(column: Any, value: Any) -> bool:
    """Whether a column's value is the value sent, as text where the column is text."""
    if hasattr(column, "timestamp"):
        return bool(round(column.timestamp() * 1000) == float(value))
    if isinstance(value, bool):
        return bool(column == json.dumps(value))
    if isinstance(value, Literal):
        return bool(column == ("0" if value == "-0" else value))
    if isinstance(value, str):
        return bool(column == value) or value == ""
    return same(value, read_literally(column))


def same(one: Any, other: Any) -> bool:
    """Equal JSON; numbers by value."""
    if isinstance(one, Literal) and isinstance(other, Literal):
        return float(one) == float(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
