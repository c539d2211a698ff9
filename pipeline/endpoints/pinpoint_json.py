"""An endpoint as Pinpoint shows it: a row of core.endpoints as its EndpointResponse, which exports and answers hold."""

from collections.abc import Mapping
from typing import Any

from agents.parsing.exact_json import parse_exactly
from pipeline.moments import format_moment

_TEXTS = {
    "Address": "address",
    "ApplicationId": "app_id",
    "ChannelType": "channel_type",
    "EndpointStatus": "endpoint_status",
    "Id": "endpoint_id",
    "OptOut": "opt_out",
    "RequestId": "request_id",
}
_MOMENTS = {"CreationDate": "creation_date", "EffectiveDate": "effective_date"}
_OBJECTS = {
    "Demographic": {
        "AppVersion": "app_version",
        "Locale": "locale",
        "Make": "make",
        "Model": "model",
        "ModelVersion": "model_version",
        "Platform": "platform",
        "PlatformVersion": "platform_version",
        "Timezone": "timezone",
    },
    "Location": {
        "City": "city",
        "Country": "country",
        "Latitude": "latitude",
        "Longitude": "longitude",
        "PostalCode": "postal_code",
        "Region": "region",
    },
}


def endpoint_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Pinpoint's EndpointResponse from a row of core.endpoints, by column name.

    What is not known is left out; Attributes and Metrics are there in any case, as Pinpoint has them. Members that no column holds stand
    at the path at which they came, numbers among them as they were written (msgspec.Raw, which `msgspec.json.encode` takes).
    """
    found: dict[str, Any] = _members(row, _TEXTS)
    found |= {name: format_moment(row[column]) for name, column in _MOMENTS.items() if row[column] is not None}
    if row["cohort_id"] is not None:
        found["CohortId"] = str(row["cohort_id"])
    found["Attributes"], found["Metrics"] = dict(row["attributes"] or {}), dict(row["metrics"] or {})
    found |= {name: inner for name, columns in _OBJECTS.items() if (inner := _members(row, columns))}
    user = _members(row, {"UserId": "user_id"})
    if user or row["user_attributes"]:
        found["User"] = {**user, "UserAttributes": dict(row["user_attributes"] or {})}
    if row["extra"]:
        _put_back(parse_exactly(row["extra"].encode()), found)
    return {name: found[name] for name in sorted(found)}


def _members(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    return {name: row[column] for name, column in columns.items() if row[column] is not None}


def _put_back(extra: object, found: dict[str, Any]) -> None:
    """Members that are not known, at their own path; none takes the place of one that is."""
    if not isinstance(extra, dict):
        return
    for name, value in extra.items():
        known = found.get(name)
        if isinstance(known, dict) and name in _NESTED:
            _put_back(value, known)
        else:
            found.setdefault(name, value)


# The objects in which `extra` may have members; Attributes and Metrics have names of the sender's own.
_NESTED = frozenset({*_OBJECTS, "User"})
