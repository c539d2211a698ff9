"""Segment's calls (track, identify, page, screen, group, alias) made into items: an event each, and an endpoint update of those that say who.

The shape is that of Segment's HTTP API, which most trackers speak: {"batch": [{"type", "messageId", "anonymousId", "userId", "timestamp",
"context", "properties" or "traits", ...}], "sentAt", "context"}. The endpoint is the anonymousId, or the userId without one.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agents.parsing.exact_json import Unreadable, parse_exactly
from agents.parsing.fit import Unfit
from pipeline.collect import stream_record
from pipeline.collect.endpoints import read_endpoint, update_endpoint
from pipeline.collect.loose_json import parse_loosely, write_loosely
from pipeline.collect.outgoing import Item, Items, Limits, Sender, judge_record, outgoing_event, outgoing_refusal, refuse
from pipeline.imports.times import parse_time
from schemas.records import Reason

# The event type of each call; that of a track call is its own name.
EVENT_TYPES = {"identify": "user.identify", "page": "page.view", "screen": "screen.view", "group": "user.group", "alias": "user.alias"}
TYPES = ("track", *EVENT_TYPES)
_CALL_MEMBERS = frozenset(
    {
        "type",
        "messageId",
        "anonymousId",
        "userId",
        "timestamp",
        "originalTimestamp",
        "sentAt",
        "receivedAt",
        "context",
        "properties",
        "traits",
    }
    | {"event", "name", "category", "groupId", "previousId", "integrations", "writeKey", "channel", "version"}
)


class CallReader:
    """Makes items of the calls of one request, within its limits. `shared` is the context that the request gives for all of them."""

    def __init__(self, app_id: str, sender: Sender, limits: Limits, shared: Mapping[str, Any]) -> None:
        self._app_id, self._sender, self._limits, self._shared = app_id, sender, limits, shared

    def read_all(self, calls: Sequence[Any]) -> list[tuple[int, Item]]:
        """The items of all calls in their order, each with its call's place. Raises TooMuchError over a limit."""
        items = Items(self._limits)
        places: list[int] = []
        for place, call in enumerate(calls):
            items.add(self.read(call))
            places += [place] * (len(items.made) - len(places))
        return list(zip(places, items.made, strict=True))

    def read(self, call: Any) -> list[Item]:
        """The event of a call, and before it the update of its endpoint when the call says who somebody is."""
        raw = write_loosely(call)
        try:
            parse_exactly(raw)
            return self._read(call, raw)
        except (Unreadable, Unfit) as error:
            known = {"event_id": _text(call, "messageId")} if isinstance(call, dict) else {}
            refusal = refuse(error, raw, **known)
            return [Item(outgoing_refusal(refusal, self._app_id, self._sender, self._limits.event_bytes_max), refusal=refusal)]

    def _read(self, call: Any, raw: bytes) -> list[Item]:
        if not isinstance(call, dict):
            raise Unfit(Reason.NOT_AN_OBJECT, f"The call is {raw[:100].decode()}; expected an object with type.", {})
        kind = call.get("type")
        if kind not in TYPES:
            raise _unfit("type", kind, f"one of {', '.join(TYPES)}")
        endpoint_id = _text(call, "anonymousId") or _text(call, "userId")
        if endpoint_id is None:
            raise _unfit("anonymousId", call.get("anonymousId"), "a text here, or in userId")
        endpoint = _endpoint_of(kind, call)
        record = self._build_record(kind, call, endpoint_id, endpoint)
        value = judge_record(record, self._limits.event_bytes_max)
        event = Item(outgoing_event(self._app_id, endpoint_id, record["event_id"], value), endpoint_id, record["event_id"])
        if endpoint is None or kind in {"track", "page", "screen"}:
            return [event]
        facts = read_endpoint(json.dumps(endpoint).encode())
        return [Item(update_endpoint(self._app_id, endpoint_id, facts, self._sender), endpoint_id), event]

    def _build_record(self, kind: str, call: dict[str, Any], endpoint_id: str, endpoint: dict[str, Any] | None) -> dict[str, Any]:
        context = {**self._shared, **(call["context"] if isinstance(call.get("context"), dict) else {})}
        record: dict[str, Any] = {
            "event_id": _text(call, "messageId") or str(uuid.uuid4()),
            "event_type": call.get("event") if kind == "track" else EVENT_TYPES[kind],
            "event_timestamp": self._time_of(call),
            "arrival_timestamp": self._sender.received_at,
            "event_version": stream_record.EVENT_VERSION,
            "application": {"app_id": self._app_id, **_application_of(context)},
            "client": {"client_id": endpoint_id},
            "headwater": json.loads(msgspec.json.encode(self._sender)),
        }
        if kind == "track" and not (isinstance(record["event_type"], str) and record["event_type"]):
            raise _unfit("event", call.get("event"), "the name of what happened")
        user_agent = context.get("userAgent")
        if isinstance(user_agent, str):
            record["headwater"]["user_agent"] = user_agent
        device = _device_of(context)
        if device:
            record["device"] = device
        session = context.get("session")
        if isinstance(session, dict):
            record["session"] = _session_of(session)
        if endpoint is not None:
            record["client_context"] = {"custom": {"endpoint": json.dumps(endpoint, ensure_ascii=False)}}
        record["attributes"], record["metrics"] = _properties_of(kind, call, context)
        left = {name: value for name, value in call.items() if name not in _CALL_MEMBERS}
        return record | ({"unmapped": left} if left else {})

    def _time_of(self, call: dict[str, Any]) -> int:
        """The device's clock when it happened; ours where the call says nothing."""
        for name in ("originalTimestamp", "timestamp"):
            if call.get(name) is not None:
                try:
                    return parse_time(call[name])
                except (ValueError, OverflowError):
                    raise Unfit(
                        Reason.BAD_TIMESTAMP,
                        f"Field '{name}' is {_shown(call[name])}; expected ISO 8601, for example 2026-01-01T00:00:00.000Z.",
                        {},
                    ) from None
        return self._sender.received_at


def parse_calls(body: bytes, limits: Limits, kind: str | None = None) -> dict[str, Any]:
    """A body of calls: {"batch": [...]}, or one call, whose type is `kind` where the path says it; each is judged later, one by one.

    Raises Unreadable when it is not JSON, or its context is none, Unfit when it has no calls, TooMuchError over a limit.
    """
    limits.check_tokens(body)
    found = parse_loosely(body)
    if found is None:
        # Reads it strictly, which says where it is no JSON.
        found = parse_exactly(body)
    if not isinstance(found, dict):
        raise Unfit(Reason.NOT_AN_OBJECT, "The body is JSON and no object; expected one with batch.", {})
    if kind is not None or ("batch" not in found and "type" in found):
        call = found if kind is None else found | {"type": kind}
        found = {"batch": [call], "sentAt": found.get("sentAt"), "writeKey": found.get("writeKey")}
    if not isinstance(found.get("batch"), list):
        raise _unfit("batch", found.get("batch"), "a list of calls")
    # What all calls have in common is no single call's fault.
    parse_exactly(write_loosely({name: value for name, value in found.items() if name != "batch"}))
    return found


def parse_sent_at(value: Any) -> int | None:
    """The sender's clock when it sent, ms since 1970; None where it does not say, or says nothing that can be read."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _endpoint_of(kind: str, call: dict[str, Any]) -> dict[str, Any] | None:
    """What the call says of its endpoint, as Pinpoint's EndpointRequest."""
    endpoint: dict[str, Any] = {}
    user_id = _text(call, "userId")
    if user_id is not None:
        endpoint["User"] = {"UserId": user_id}
    traits = call.get("traits")
    if kind == "identify" and isinstance(traits, dict):
        attributes = {name: _as_texts(value) for name, value in traits.items() if value is not None}
        if attributes and user_id is not None:
            endpoint["User"]["UserAttributes"] = attributes
        elif attributes:
            endpoint["Attributes"] = attributes
    if kind == "group" and (group_id := _text(call, "groupId")) is not None:
        endpoint["Attributes"] = {"group_id": [group_id]}
    return endpoint or None


def _properties_of(kind: str, call: dict[str, Any], context: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(attributes, metrics): numbers are metrics, all else attributes; the page that a browser was on goes with it."""
    attributes: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    page = context.get("page")
    for found in (page if isinstance(page, dict) else {}, call.get("properties"), call.get("traits") if kind != "identify" else None):
        for name, value in (found if isinstance(found, dict) else {}).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                metrics[name] = value
            elif value is not None:
                attributes[name] = value
    for name, member in (("name", "name"), ("category", "category"), ("group_id", "groupId"), ("previous_id", "previousId")):
        if (text := _text(call, member)) is not None:
            attributes[name] = text
    return attributes, metrics


def _application_of(context: dict[str, Any]) -> dict[str, Any]:
    app, library = context.get("app"), context.get("library")
    found: dict[str, Any] = {}
    for name, member in (("title", "name"), ("version_name", "version"), ("version_code", "build"), ("package_name", "namespace")):
        if isinstance(app, dict) and isinstance(app.get(member), str):
            found[name] = app[member]
    if isinstance(library, dict):
        found["sdk"] = {name: library[name] for name in ("name", "version") if isinstance(library.get(name), str)}
    return found


def _device_of(context: dict[str, Any]) -> dict[str, Any]:
    device, system = context.get("device"), context.get("os")
    found: dict[str, Any] = {}
    if isinstance(context.get("locale"), str):
        found["locale"] = {"code": context["locale"]}
    if isinstance(device, dict):
        found |= {
            name: device[member] for name, member in (("make", "manufacturer"), ("model", "model")) if isinstance(device.get(member), str)
        }
    if isinstance(system, dict):
        found["platform"] = {name: system[name] for name in ("name", "version") if isinstance(system.get(name), str)}
    return found


def _session_of(session: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(session.get("id"), str):
        found["session_id"] = session["id"]
    for name, member in (("start_timestamp", "startedAt"), ("stop_timestamp", "stoppedAt")):
        moment = parse_sent_at(session.get(member))
        if moment is not None:
            found[name] = moment
    return found


def _as_texts(value: Any) -> list[str]:
    """A trait as the list of texts that an attribute of an endpoint is."""
    values = value if isinstance(value, list) else [value]
    return [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in values]


def _text(call: dict[str, Any], name: str) -> str | None:
    value = call.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _unfit(name: str, value: Any, expected: str) -> Unfit:
    reason = Reason.MISSING_FIELD if value in (None, "") else Reason.WRONG_TYPE
    return Unfit(reason, f"Field '{name}' is {'missing' if value is None else _shown(value)}; expected {expected}.", {})


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}..."
