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
from pipeline.collect.call_parts import application_of, device_of, endpoint_of, properties_of, read_text, session_of, shown, unfit
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
        self._headwater: dict[str, Any] = json.loads(msgspec.json.encode(sender))

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
        try:
            raw = write_loosely(call)
        except RecursionError:
            raw = b""
        try:
            if not raw:
                raise Unreadable(Reason.TOO_DEEP, "The call is nested too deep", "at most 64 levels")
            parse_exactly(raw)
            return self._read(call, raw)
        except (Unreadable, Unfit) as error:
            known = {"event_id": read_text(call, "messageId")} if isinstance(call, dict) else {}
            refusal = refuse(error, raw, **known)
            return [Item(outgoing_refusal(refusal, self._app_id, self._sender, self._limits.event_bytes_max), refusal=refusal)]

    def _read(self, call: Any, raw: bytes) -> list[Item]:
        if not isinstance(call, dict):
            raise Unfit(Reason.NOT_AN_OBJECT, f"The call is {raw[:100].decode()}; expected an object with type.", {})
        kind = call.get("type")
        if kind not in TYPES:
            raise unfit("type", kind, f"one of {', '.join(TYPES)}")
        endpoint_id = read_text(call, "anonymousId") or read_text(call, "userId")
        if endpoint_id is None:
            raise unfit("anonymousId", call.get("anonymousId"), "a text here, or in userId")
        endpoint = endpoint_of(kind, call)
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
            "event_id": read_text(call, "messageId") or str(uuid.uuid4()),
            "event_type": call.get("event") if kind == "track" else EVENT_TYPES[kind],
            "event_timestamp": self._time_of(call),
            "arrival_timestamp": self._sender.received_at,
            "event_version": stream_record.EVENT_VERSION,
            "application": {"app_id": self._app_id, **application_of(context)},
            "client": {"client_id": endpoint_id},
            "headwater": self._headwater.copy(),
        }
        if kind == "track" and not (isinstance(record["event_type"], str) and record["event_type"]):
            raise unfit("event", call.get("event"), "the name of what happened")
        user_agent = context.get("userAgent")
        if isinstance(user_agent, str):
            record["headwater"]["user_agent"] = user_agent
        device = device_of(context)
        if device:
            record["device"] = device
        session = context.get("session")
        if isinstance(session, dict):
            record["session"] = session_of(session)
        if endpoint is not None:
            record["client_context"] = {"custom": {"endpoint": json.dumps(endpoint, ensure_ascii=False)}}
        record["attributes"], record["metrics"] = properties_of(kind, call, context)
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
                        f"Field '{name}' is {shown(call[name])}; expected ISO 8601, for example 2026-01-01T00:00:00.000Z.",
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
        raise unfit("batch", found.get("batch"), "a list of calls")
    # What all calls have in common is no single call's fault.
    parse_exactly(write_loosely({name: value for name, value in found.items() if name != "batch"}))
    return found
