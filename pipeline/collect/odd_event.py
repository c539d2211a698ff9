"""An event of PutEvents that has other names or types than usual, made into a stream record member by member."""

import json
from typing import Any

import msgspec

from agents.parsing.exact_json import Unreadable
from agents.parsing.fit import Unfit
from pipeline.collect import stream_record
from pipeline.collect.endpoints import EndpointFacts
from pipeline.collect.outgoing import Sender
from pipeline.imports.times import parse_time

# Where each member of an event goes when it is read member by member.
_PLACES = {
    "EventType": ("event_type",),
    "AppPackageName": ("application", "package_name"),
    "AppTitle": ("application", "title"),
    "AppVersionCode": ("application", "version_code"),
    "SdkName": ("application", "sdk", "name"),
    "ClientSdkVersion": ("application", "sdk", "version"),
    "Attributes": ("attributes",),
    "Metrics": ("metrics",),
}
_SESSION_PLACES = {"Id": "session_id", "StartTimestamp": "start_timestamp", "StopTimestamp": "stop_timestamp", "Duration": "duration"}
# Amplify for JavaScript once spelt its automatic events like this.
LEGACY_TYPES = {f"_session_{name}": f"_session.{name}" for name in ("start", "stop", "pause", "resume")}


def build_document(
    app_id: str, sender: Sender, endpoint_id: str, facts: EndpointFacts, event_id: str, event: dict[str, Any]
) -> dict[str, Any]:
    """The stream record of an event as far as it goes: what does not fit stays as sent, what has no place keeps its name."""
    document: dict[str, Any] = {"event_id": event_id, "application": {"app_id": app_id}}
    document |= {"arrival_timestamp": sender.received_at, "event_version": stream_record.EVENT_VERSION, "headwater": sender}
    document |= {"client": {"client_id": endpoint_id}} if endpoint_id else {}
    if facts.device is not None:
        document["device"] = facts.device
    if facts.app_version is not None:
        document["application"]["version_name"] = facts.app_version
    if facts.text is not None:
        document["client_context"] = {"custom": {"endpoint": facts.text}}
    for name, value in event.items():
        if name == "Timestamp":
            document["event_timestamp"] = _as_ms(value)
        elif name == "Session" and isinstance(value, dict):
            document["session"] = {_SESSION_PLACES.get(inner, inner): _session_value(inner, each) for inner, each in value.items()}
        elif name in _PLACES:
            _put(document, _PLACES[name], value)
        else:
            # A name that PutEvents has not; one that the stream record has must not take its place.
            document.setdefault(name if name not in document else f"sent_{name}", value)
    event_type = document.get("event_type")
    if isinstance(event_type, str):
        document["event_type"] = LEGACY_TYPES.get(event_type, event_type)
    return document


def _as_ms(value: Any) -> Any:
    """A time of PutEvents in ms: ISO 8601, or a number of ms; anything else as it was sent."""
    try:
        return parse_time(float(bytes(value)) if isinstance(value, msgspec.Raw) else value)
    except (ValueError, OverflowError):
        return value


def _session_value(name: str, value: Any) -> Any:
    return _as_ms(value) if name in {"StartTimestamp", "StopTimestamp"} else value


def _put(document: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *folders, last = place
    for folder in folders:
        document = document.setdefault(folder, {})
    document[last] = value


def in_words_of_the_api(error: Unreadable | Unfit, event: dict[str, Any]) -> Unreadable | Unfit:
    """The same with the names that the sender used."""
    if isinstance(error, Unfit):
        if "'event_type'" in error.error:
            error.error = error.error.replace("'event_type'", "'EventType'")
        elif "'event_timestamp'" in error.error:
            sent = shown(event.get("Timestamp"))
            error.error = f"Field 'Timestamp' is {sent}; expected ISO 8601, for example 2026-01-01T00:00:00.000Z, from 1900 to 9999."
    return error


def shown(value: Any) -> str:
    if value is None:
        return "missing"
    text = bytes(value).decode() if isinstance(value, msgspec.Raw) else json.dumps(value, default=str)
    return text if len(text) <= 100 else f"{text[:100]}..."
