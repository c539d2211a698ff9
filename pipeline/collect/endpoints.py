"""Endpoints as clients send them: read, and made into updates for endpoint-updates."""

import uuid
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.parsing.exact_json import Unreadable, parse_exactly
from agents.parsing.fit import Unfit
from pipeline.collect import stream_record
from pipeline.collect.outgoing import Outgoing, Sender
from pipeline.producer import record_key
from pipeline.topology import ENDPOINT_UPDATES
from schemas.records import Reason


class _Demographic(msgspec.Struct):
    AppVersion: str | None = None
    Locale: str | None = None
    Make: str | None = None
    Model: str | None = None
    ModelVersion: str | None = None
    Platform: str | None = None
    PlatformVersion: str | None = None
    Timezone: str | None = None


class _Location(msgspec.Struct):
    City: str | None = None
    Country: str | None = None
    Latitude: float | None = None
    Longitude: float | None = None
    PostalCode: str | None = None
    Region: str | None = None


class _User(msgspec.Struct):
    UserId: str | None = None
    UserAttributes: dict[str, list[str] | None] | None = None


class _Endpoint(msgspec.Struct):
    """An endpoint as PutEvents and UpdateEndpoint take it; unknown names are kept as they are."""

    Address: str | None = None
    Attributes: dict[str, list[str] | None] | None = None
    ChannelType: str | None = None
    Demographic: _Demographic | None = None
    EffectiveDate: str | None = None
    EndpointStatus: str | None = None
    Location: _Location | None = None
    Metrics: dict[str, float] | None = None
    OptOut: str | None = None
    RequestId: str | None = None
    User: _User | None = None


_decode = msgspec.json.Decoder(_Endpoint).decode


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What events need of their endpoint: its JSON text as sent, None when it holds nothing, and what it says of device and app."""

    text: str | None = None
    device: stream_record.Device | None = None
    app_version: str | None = None


class _Update(msgspec.Struct, omit_defaults=True):
    """One update of an endpoint on the wire, topic endpoint-updates."""

    update_id: str
    operation: str
    app_id: str
    endpoint_id: str
    arrival_timestamp: int
    endpoint: msgspec.Raw
    headwater: Sender


def read_endpoint(raw: bytes) -> EndpointFacts:
    """Read an endpoint's JSON.

    Raises Unreadable when it is not JSON, Unfit when a member is not what Pinpoint's EndpointRequest has there.
    """
    try:
        found = _decode(raw)
        text = raw.decode()
    except msgspec.ValidationError as error:
        raise Unfit(Reason.WRONG_TYPE, f"Endpoint: {error}, as Pinpoint's EndpointRequest has it.", {}) from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        parse_exactly(raw)
        raise Unreadable(Reason.NOT_JSON, "The endpoint cannot be read", "one JSON object") from None
    # One that has nothing in it, or unknown names alone, still is what the sender said; only {} says nothing.
    if msgspec.json.decode(raw) == {}:
        return EndpointFacts()
    of = found.Demographic
    if of is None:
        return EndpointFacts(text)
    platform = stream_record.Platform(of.Platform, of.PlatformVersion) if of.Platform or of.PlatformVersion else None
    locale = stream_record.Locale(of.Locale) if of.Locale else None
    device = stream_record.Device(locale, of.Make, of.Model, platform) if any((of.Make, of.Model, platform, locale)) else None
    return EndpointFacts(text, device, of.AppVersion)


def update_endpoint(app_id: str, endpoint_id: str, facts: EndpointFacts, sender: Sender) -> Outgoing:
    """The update that an endpoint's JSON stands for, on its way to endpoint-updates."""
    endpoint: Any = msgspec.Raw((facts.text or "{}").encode())
    update = _Update(str(uuid.uuid4()), "update", app_id, endpoint_id, sender.received_at, endpoint, sender)
    return Outgoing(ENDPOINT_UPDATES, record_key(app_id, endpoint_id, update.update_id), msgspec.json.encode(update))


def update_from_file(app_id: str, endpoint_id: str, endpoint_json: bytes, update_id: str, sender: Sender) -> Outgoing:
    """The update that a row of a file stands for; the row's own id tells a row that is sent twice."""
    endpoint: Any = msgspec.Raw(endpoint_json)
    update = _Update(update_id, "update", app_id, endpoint_id, sender.received_at, endpoint, sender)
    return Outgoing(ENDPOINT_UPDATES, record_key(app_id, endpoint_id, update_id), msgspec.json.encode(update))
