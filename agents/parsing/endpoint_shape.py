"""The shape of an endpoint, as Pinpoint's EndpointRequest and its exports have it: read from JSON, every member of the type wanted.

One place for all ways in: PutEvents, the API, files, and what other producers write to endpoint-updates. An absent member and one that
is null say nothing. An attribute with null or no values is to be removed. Members that are not known are left over, at their own path.
"""

import datetime as dt
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from agents.parsing.exact_json import Unreadable, parse_counted, shorten
from schemas.records import Reason

COHORTS = 100


class ChannelType(StrEnum):
    """Pinpoint's channel types."""

    PUSH = "PUSH"
    GCM = "GCM"
    APNS = "APNS"
    APNS_SANDBOX = "APNS_SANDBOX"
    APNS_VOIP = "APNS_VOIP"
    APNS_VOIP_SANDBOX = "APNS_VOIP_SANDBOX"
    ADM = "ADM"
    SMS = "SMS"
    VOICE = "VOICE"
    EMAIL = "EMAIL"
    BAIDU = "BAIDU"
    CUSTOM = "CUSTOM"
    IN_APP = "IN_APP"


class EndpointError(ValueError):
    """A member that is not as it must be: its path (Demographic.Locale), the value found, shortened, and what was expected."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field, self.value, self.expected = field, shorten(value), expected
        super().__init__(f"Field '{field}' is {self.value}; expected {expected}.")


class Endpoint(msgspec.Struct, frozen=True):
    """What an endpoint's JSON says, by the columns of the table endpoint_updates. None, or an empty map, where it says nothing.

    `extra` holds the members that are not known; times are UTC.
    """

    channel_type: str | None = None
    address: str | None = None
    endpoint_status: str | None = None
    opt_out: str | None = None
    effective_date: dt.datetime | None = None
    creation_date: dt.datetime | None = None
    request_id: str | None = None
    cohort_id: int | None = None
    app_version: str | None = None
    locale: str | None = None
    make: str | None = None
    model: str | None = None
    model_version: str | None = None
    platform: str | None = None
    platform_version: str | None = None
    timezone: str | None = None
    city: str | None = None
    country: str | None = None
    region: str | None = None
    postal_code: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    user_id: str | None = None
    attributes: Mapping[str, list[str]] = {}
    metrics: Mapping[str, float] = {}
    user_attributes: Mapping[str, list[str]] = {}
    extra: Mapping[str, Any] = {}


def read_endpoint(document: object) -> Endpoint:
    """Read an endpoint from what `parse_exactly` or `msgspec.json.decode` returned.

    Raises EndpointError with the first member that is wrong.
    """
    if not isinstance(document, dict):
        raise EndpointError("Endpoint", document, "an object")
    found: dict[str, Any] = {}
    extra = _read_object(document, _MEMBERS, "", found)
    return Endpoint(**found, extra=extra)


def parse_endpoint(raw: bytes) -> Endpoint:
    """Read an endpoint's JSON text.

    Raises Unreadable when it is not JSON, EndpointError when a member is wrong.
    """
    document = parse_counted(raw)
    if not isinstance(document, dict):
        raise Unreadable(Reason.NOT_AN_OBJECT, "The endpoint is JSON and no object", "one JSON object", shorten(document))
    return read_endpoint(document)


def _read_object(document: Mapping[str, Any], members: Mapping[str, Any], path: str, found: dict[str, Any]) -> dict[str, Any]:
    """Put what an object says into `found`; returns what is left over."""
    extra: dict[str, Any] = {}
    for name, value in document.items():
        member = members.get(name)
        if member is None:
            extra[name] = value
        elif value is None or member is _IGNORED:
            continue
        elif isinstance(member, dict):
            if not isinstance(value, dict):
                raise EndpointError(path + name, value, "an object")
            inner = _read_object(value, member, f"{path}{name}.", found)
            if inner:
                extra[name] = inner
        else:
            column, read = member
            found[column] = read(path + name, value)
    return extra


def _text(path: str, value: Any) -> str:
    if type(value) is not str:
        raise EndpointError(path, value, "a text")
    return value


def _one_of(*allowed: str) -> Any:
    def read(path: str, value: Any) -> str:
        if type(value) is not str or value not in allowed:
            raise EndpointError(path, value, f"one of {', '.join(allowed)}")
        return value

    return read


def _moment(path: str, value: Any) -> dt.datetime:
    expected = "a moment in ISO 8601, for example 2026-01-01T00:00:00.000Z"
    if type(value) is not str:
        raise EndpointError(path, value, expected)
    try:
        found = dt.datetime.fromisoformat(value)
        moment = found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise EndpointError(path, value, expected) from None
    if moment.year < 1900:
        raise EndpointError(path, value, f"{expected}, of 1900 or later")
    # What a table of the lake keeps of a moment.
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _cohort(path: str, value: Any) -> int:
    """Pinpoint writes the number as a text."""
    text = bytes(value).decode() if type(value) is msgspec.Raw else str(value)
    if type(value) not in _TEXT_OR_NUMBER or not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) >= COHORTS:
        raise EndpointError(path, value, f"a number from 0 to {COHORTS - 1}")
    return int(text)


def _number(path: str, value: Any) -> float:
    if type(value) not in _NUMBER:
        raise EndpointError(path, value, "a number")
    number = float(bytes(value) if type(value) is msgspec.Raw else value)
    if not math.isfinite(number):
        raise EndpointError(path, value, "a number that a 64-bit float holds")
    return number


def _degrees(bound: int) -> Any:
    def read(path: str, value: Any) -> float:
        number = _number(path, value)
        if abs(number) > bound:
            raise EndpointError(path, value, f"degrees from -{bound} to {bound}")
        return number

    return read


def _lists(path: str, value: Any) -> dict[str, list[str]]:
    """A map of lists of texts; null in place of a list is an empty one."""
    if type(value) is not dict:
        raise EndpointError(path, value, "an object of lists of texts")
    lists: dict[str, list[str]] = {}
    for name, values in value.items():
        if values is None:
            lists[name] = []
            continue
        if type(values) is not list:
            raise EndpointError(f"{path}.{name}", values, "a list of texts")
        for each in values:
            if type(each) is not str:
                raise EndpointError(f"{path}.{name}", values, "a list of texts")
        lists[name] = values
    return lists


def _metrics(path: str, value: Any) -> dict[str, float]:
    if type(value) is not dict:
        raise EndpointError(path, value, "an object of numbers")
    return {name: _number(f"{path}.{name}", each) for name, each in value.items()}


_IGNORED = object()
_NUMBER = (int, float, msgspec.Raw)
_TEXT_OR_NUMBER = (str, *_NUMBER)
_MEMBERS: dict[str, Any] = {
    # The record around it, or the file's row, says which endpoint and app it is.
    "Id": _IGNORED,
    "ApplicationId": _IGNORED,
    "Address": ("address", _text),
    "Attributes": ("attributes", _lists),
    "ChannelType": ("channel_type", _one_of(*ChannelType)),
    "CohortId": ("cohort_id", _cohort),
    "CreationDate": ("creation_date", _moment),
    "Demographic": {
        "AppVersion": ("app_version", _text),
        "Locale": ("locale", _text),
        "Make": ("make", _text),
        "Model": ("model", _text),
        "ModelVersion": ("model_version", _text),
        "Platform": ("platform", _text),
        "PlatformVersion": ("platform_version", _text),
        "Timezone": ("timezone", _text),
    },
    "EffectiveDate": ("effective_date", _moment),
    "EndpointStatus": ("endpoint_status", _one_of("ACTIVE", "INACTIVE")),
    "Location": {
        "City": ("city", _text),
        "Country": ("country", _text),
        "Latitude": ("latitude", _degrees(90)),
        "Longitude": ("longitude", _degrees(180)),
        "PostalCode": ("postal_code", _text),
        "Region": ("region", _text),
    },
    "Metrics": ("metrics", _metrics),
    "OptOut": ("opt_out", _one_of("ALL", "NONE")),
    "RequestId": ("request_id", _text),
    "User": {
        "UserId": ("user_id", _text),
        "UserAttributes": ("user_attributes", _lists),
    },
}
