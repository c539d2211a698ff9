"""The stream record as the collector writes it most: every member in its place, none that is null (schemas/stream_record.avsc)."""

import datetime as dt

import msgspec

EVENT_VERSION = "3.0"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS = dt.timedelta(milliseconds=1)


class Sdk(msgspec.Struct, omit_defaults=True):
    name: str | None = None
    version: str | None = None


class Application(msgspec.Struct, omit_defaults=True):
    app_id: str
    package_name: str | None = None
    title: str | None = None
    version_name: str | None = None
    version_code: str | None = None
    sdk: Sdk | None = None


class Client(msgspec.Struct, omit_defaults=True):
    client_id: str
    cognito_id: str | None = None


class Locale(msgspec.Struct, omit_defaults=True):
    code: str | None = None


class Platform(msgspec.Struct, omit_defaults=True):
    name: str | None = None
    version: str | None = None


class Device(msgspec.Struct, omit_defaults=True):
    locale: Locale | None = None
    make: str | None = None
    model: str | None = None
    platform: Platform | None = None


class Session(msgspec.Struct, omit_defaults=True):
    session_id: str | None = None
    start_timestamp: int | None = None
    stop_timestamp: int | None = None
    duration: float | None = None


class Custom(msgspec.Struct, omit_defaults=True):
    endpoint: str | None = None


class ClientContext(msgspec.Struct, omit_defaults=True):
    custom: Custom


class StreamRecord(msgspec.Struct, omit_defaults=True):
    """One event for raw-events. Times in ms since 1970; what many events of a request have in common is encoded once, and stands here as JSON."""

    event_id: str
    event_type: str
    event_timestamp: int
    arrival_timestamp: int
    event_version: str
    application: msgspec.Raw
    headwater: msgspec.Raw
    attributes: dict[str, str]
    metrics: dict[str, float]
    client: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    device: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    session: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    client_context: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def as_raw(part: msgspec.Struct | None) -> msgspec.Raw | msgspec.UnsetType:
    """A part of a record as its JSON; nothing for none."""
    return msgspec.UNSET if part is None else msgspec.Raw(msgspec.json.encode(part))


def parse_iso_ms(text: str) -> int:
    """ISO 8601 text in ms since 1970; without an offset it is UTC.

    Raises ValueError when it is none.
    """
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH) // _MS
