"""What clients say of endpoints: read, and made into records for endpoint-updates."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.parsing.endpoint_shape import Endpoint, EndpointError, parse_endpoint
from agents.parsing.fit import Unfit
from agents.parsing.update_shape import endpoint_reason
from pipeline.collect import stream_record
from pipeline.collect.outgoing import Outgoing, Sender
from pipeline.producer import record_key
from pipeline.topology import ENDPOINT_UPDATES

# One that says nothing, in the spelling that most senders have.
_SAYS_NOTHING = b"{}"


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What events need of their endpoint: its JSON text as sent, None when it holds nothing, and what it says of device and app."""

    text: str | None = None
    device: stream_record.Device | None = None
    app_version: str | None = None


class _Update(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One record of endpoint-updates, as agents.parsing.update_shape reads it; each operation has its own members."""

    update_id: str
    operation: str
    app_id: str
    endpoint_id: str | None = None
    user_id: str | None = None
    attribute_type: str | None = None
    names: Sequence[str] | None = None
    arrival_timestamp: int
    endpoint: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    headwater: Sender


def read_endpoint(raw: bytes) -> EndpointFacts:
    """Read an endpoint's JSON, by the one reading that workers and files have too.

    Raises Unreadable when it is not JSON, Unfit when a member is not what Pinpoint's EndpointRequest has there.
    """
    try:
        found = parse_endpoint(raw)
    except EndpointError as error:
        raise Unfit(endpoint_reason(error), str(error), {}) from None
    # One that has nothing in it, or unknown names alone, still is what the sender said; only {} says nothing.
    if raw == _SAYS_NOTHING or msgspec.json.decode(raw) == {}:
        return EndpointFacts()
    return EndpointFacts(raw.decode(), _device_of(found), found.app_version)


def _device_of(found: Endpoint) -> stream_record.Device | None:
    is_named = found.platform or found.platform_version
    platform = stream_record.Platform(found.platform, found.platform_version) if is_named else None
    locale = stream_record.Locale(found.locale) if found.locale else None
    return stream_record.Device(locale, found.make, found.model, platform) if any((found.make, found.model, platform, locale)) else None


def update_endpoint(app_id: str, endpoint_id: str, facts: EndpointFacts, sender: Sender, update_id: str | None = None) -> Outgoing:
    """The update that an endpoint's JSON stands for, under the id that its sender is told, where there is one."""
    return update_from_file(app_id, endpoint_id, (facts.text or "{}").encode(), update_id or _new_id(), sender)


def update_from_file(app_id: str, endpoint_id: str, endpoint_json: bytes, update_id: str, sender: Sender) -> Outgoing:
    """The update under an id of the caller's: one that derives from file and row lands once, however often the row is sent."""
    return _outgoing(app_id, sender, update_id, operation="update", endpoint_id=endpoint_id, endpoint=msgspec.Raw(endpoint_json))


def delete_endpoint(app_id: str, endpoint_id: str, sender: Sender, user_id: str | None = None) -> Outgoing:
    """The endpoint is gone, with all that was said of it until now; with `user_id` only if it is that user's when this is accepted."""
    return _outgoing(app_id, sender, _new_id(), operation="delete", endpoint_id=endpoint_id, user_id=user_id)


def delete_user(app_id: str, user_id: str, sender: Sender) -> Outgoing:
    """The user's attributes are gone; their endpoints are deleted one by one, each by a record of its own."""
    return _outgoing(app_id, sender, _new_id(), operation="delete_user", user_id=user_id)


def remove_attributes(app_id: str, attribute_type: str, names: Sequence[str], sender: Sender) -> Outgoing:
    """Attributes of these names, or patterns with * and ?, are taken from later updates of the app no more."""
    return _outgoing(app_id, sender, _new_id(), operation="remove_attributes", attribute_type=attribute_type, names=names)


def _new_id() -> str:
    return str(uuid.uuid4())


def _outgoing(app_id: str, sender: Sender, update_id: str, **said: Any) -> Outgoing:
    update = _Update(update_id=update_id, app_id=app_id, arrival_timestamp=sender.received_at, headwater=sender, **said)
    return Outgoing(ENDPOINT_UPDATES, record_key(app_id, update.endpoint_id, update_id), msgspec.json.encode(update))
