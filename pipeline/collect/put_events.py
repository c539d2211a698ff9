"""PutEvents: the body of `POST /v1/apps/{app_id}/events` made into items, each judged on its own: no bad one costs its neighbours.

The shape is Pinpoint's: {"BatchItem": {endpoint id: {"Endpoint": {..}, "Events": {event id: {..}}}}}. How its names map to the
stream record is not documented by AWS; it follows from the names (EventType is event_type, AppTitle is application.title, ...).
"""

import uuid
from collections.abc import Iterable, Iterator

import msgspec

from agents.native.library import count_names
from agents.parsing.exact_json import Unreadable, parse_exactly, shorten
from agents.parsing.fit import MS_MAX, MS_MIN, Unfit
from pipeline.collect import stream_record
from pipeline.collect.batch_item import count_inner, find_problem, split_request
from pipeline.collect.endpoints import EndpointFacts, read_endpoint, update_endpoint
from pipeline.collect.loose_json import parse_loosely, write_loosely
from pipeline.collect.odd_event import LEGACY_TYPES, build_document, in_words_of_the_api
from pipeline.collect.outgoing import (
    Item,
    Items,
    Limits,
    Outgoing,
    Refusal,
    Sender,
    is_whole,
    judge_record,
    outgoing_event,
    outgoing_refusal,
    refuse,
    without_address,
)
from pipeline.collect.stream_record import as_raw, parse_iso_ms
from pipeline.producer import record_key
from pipeline.topology import RAW_EVENTS
from schemas.records import Reason


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    Endpoint: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    Events: dict[str, msgspec.Raw] | None = None


class _Session(msgspec.Struct, forbid_unknown_fields=True):
    Id: str | None = None
    StartTimestamp: str | None = None
    StopTimestamp: str | None = None
    Duration: float | None = None


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    """An event as SDKs send it. One that has other names, or values of other types, is read member by member."""

    EventType: str
    Timestamp: str
    AppPackageName: str | None = None
    AppTitle: str | None = None
    AppVersionCode: str | None = None
    SdkName: str | None = None
    ClientSdkVersion: str | None = None
    Attributes: dict[str, str] | None = None
    Metrics: dict[str, float] | None = None
    Session: _Session | None = None


_decode_entry = msgspec.json.Decoder(_Entry).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode

# An endpoint that says nothing.
_NO_ENDPOINT = (b"", b"{}", b"null")


class _Common:
    """What the events of one endpoint have in common, encoded once."""

    def __init__(self, endpoint_id: str, facts: EndpointFacts, key: bytes | None) -> None:
        self.key, self.app_version = key, facts.app_version
        self.client = as_raw(stream_record.Client(endpoint_id) if endpoint_id else None)
        self.device = as_raw(facts.device)
        self.context = as_raw(None if facts.text is None else stream_record.ClientContext(stream_record.Custom(facts.text)))


class PutEventsReader:
    """Makes items of the bodies of one request of an app, within its limits."""

    def __init__(self, app_id: str, sender: Sender, limits: Limits) -> None:
        self._app_id, self._sender, self._limits = app_id, sender, limits
        self._headwater = msgspec.Raw(_encode(sender))
        # Applications and sessions by what events say of them: a request's events mostly say the same.
        self._applications: dict[tuple[str | None, ...], msgspec.Raw] = {}
        self._sessions: dict[tuple[str | float | None, ...], msgspec.Raw] = {}

    def read(self, body: bytes | msgspec.Raw) -> list[Item]:
        """The items of a body, in its order: for each endpoint its update, if it has content, then its events.

        Raises Unreadable when the body as a whole is not JSON, Unfit when it is not of PutEvents' shape, TooMuchError over a limit.
        """
        text = bytes(body)
        self._limits.check_tokens(text)
        items = Items(self._limits)
        for endpoint_id, raw in split_request(text):
            if not is_whole(endpoint_id):
                items.add([self._refused(endpoint_id, None, refuse(_not_whole("The endpoint's id"), raw, endpoint_id=endpoint_id))])
                continue
            try:
                entry = _decode_entry(raw)
            except msgspec.MsgspecError:
                items.add(self._read_odd_entry(endpoint_id, raw))
                continue
            endpoint, events = b"" if entry.Endpoint is msgspec.UNSET else bytes(entry.Endpoint), entry.Events or {}
            if entry.Events is None and endpoint in _NO_ENDPOINT:
                items.add(self._read_odd_entry(endpoint_id, raw))
                continue
            inner = (
                (entry.Endpoint is not msgspec.UNSET) + (entry.Events is not None) + len(events) + count_inner([endpoint, *events.values()])
            )
            if count_names(raw) == inner:
                items.add(self._read_entry(endpoint_id, endpoint, events.items()))
            else:
                # A name stands twice, or something is no text.
                items.add(self._read_odd_entry(endpoint_id, raw))
        return items.made

    def _read_entry(self, endpoint_id: str, endpoint: bytes, events: Iterable[tuple[str, msgspec.Raw]]) -> Iterator[Item]:
        facts = EndpointFacts()
        if endpoint not in _NO_ENDPOINT:
            try:
                facts = read_endpoint(endpoint)
            except (Unreadable, Unfit) as error:
                yield self._refused(endpoint_id, None, refuse(error, endpoint, endpoint_id=endpoint_id))
            else:
                if facts.text is not None:
                    yield Item(update_endpoint(self._app_id, endpoint_id, facts, self._sender), endpoint_id)
        common = _Common(endpoint_id, facts, record_key(self._app_id, endpoint_id, "") if endpoint_id else None)
        for event_id, raw in events:
            try:
                outgoing = self._read_event(common, event_id or str(uuid.uuid4()), raw)
            except (msgspec.MsgspecError, ValueError, OverflowError):
                outgoing = None
            if outgoing is None:
                yield self._read_odd_event(endpoint_id, facts, event_id, bytes(raw))
            else:
                yield Item(outgoing, endpoint_id, event_id)

    def _read_event(self, common: "_Common", event_id: str, raw: msgspec.Raw) -> Outgoing | None:
        """The record of an ordinary event; None where something is odd. Raises as msgspec and the parsing of times do."""
        event = _decode_event(raw)
        timestamp = parse_iso_ms(event.Timestamp)
        if not event.EventType or not MS_MIN <= timestamp <= MS_MAX:
            return None
        record = stream_record.StreamRecord(
            event_id,
            LEGACY_TYPES.get(event.EventType, event.EventType),
            timestamp,
            self._sender.received_at,
            stream_record.EVENT_VERSION,
            self._application(common.app_version, event),
            self._headwater,
            event.Attributes or {},
            event.Metrics or {},
            common.client,
            common.device,
            msgspec.UNSET if event.Session is None else self._session(event.Session),
            common.context,
        )
        value = _encode(record)
        if len(value) > self._limits.event_bytes_max:
            return None
        return Outgoing(RAW_EVENTS, common.key or record_key(self._app_id, None, event_id), value)

    def _application(self, app_version: str | None, event: _Event) -> msgspec.Raw:
        said = (event.AppPackageName, event.AppTitle, app_version, event.AppVersionCode, event.SdkName, event.ClientSdkVersion)
        found = self._applications.get(said)
        if found is None:
            sdk = stream_record.Sdk(said[4], said[5]) if said[4] or said[5] else None
            found = self._applications[said] = msgspec.Raw(_encode(stream_record.Application(self._app_id, *said[:4], sdk)))
        return found

    def _session(self, session: _Session) -> msgspec.Raw:
        said = (session.Id, session.StartTimestamp, session.StopTimestamp, session.Duration)
        found = self._sessions.get(said)
        if found is None:
            start, stop = (parse_iso_ms(each) if each is not None else None for each in (session.StartTimestamp, session.StopTimestamp))
            found = self._sessions[said] = msgspec.Raw(_encode(stream_record.Session(session.Id, start, stop, session.Duration)))
        return found

    def _read_odd_entry(self, endpoint_id: str, raw: bytes) -> Iterator[Item]:
        """An endpoint's entry that has other names or types than PutEvents', or is not JSON in places: its events one by one."""
        found = parse_loosely(raw)
        if isinstance(found, dict) and len({*map(str, found)}) != len(found):
            error: Unreadable | Unfit = Unreadable(Reason.DUPLICATE_KEY, "Endpoint or Events stands twice in one entry", "each once")
            yield self._refused(endpoint_id, None, refuse(error, raw, endpoint_id=endpoint_id))
            return
        problem, events = find_problem(endpoint_id, found), found.get("Events") if isinstance(found, dict) else None
        if isinstance(events, (dict, type(None))) and isinstance(found, dict):
            named = ((str(event_id), msgspec.Raw(write_loosely(event))) for event_id, event in (events or {}).items())
            yield from self._read_entry(endpoint_id, write_loosely(found.get("Endpoint")), named)
        if problem is not None:
            # Last, so that it is what the endpoint's own answer says.
            yield self._refused(endpoint_id, None, refuse(problem, raw, endpoint_id=endpoint_id))

    def _read_odd_event(self, endpoint_id: str, facts: EndpointFacts, event_id: str, raw: bytes) -> Item:
        """An event read member by member: accepted when the worker would take it for an event, else refused with the reason."""
        ids = {"endpoint_id": endpoint_id, "event_id": event_id or None}
        try:
            if not is_whole(event_id):
                raise _not_whole("The event's id")
            event = parse_exactly(raw)
            if not isinstance(event, dict):
                raise Unfit(Reason.NOT_AN_OBJECT, f"Event '{event_id}' is {shorten(event)}; expected an object with EventType.", {})
        except (Unreadable, Unfit) as error:
            return self._refused(endpoint_id, event_id, refuse(error, raw, **ids))
        document = build_document(self._app_id, self._sender, endpoint_id, facts, event_id or str(uuid.uuid4()), event)
        try:
            value = judge_record(document, self._limits.event_bytes_max)
        except (Unreadable, Unfit) as error:
            document["headwater"] = without_address(self._sender)
            return self._refused(endpoint_id, event_id, refuse(in_words_of_the_api(error, event), msgspec.json.encode(document), **ids))
        return Item(outgoing_event(self._app_id, endpoint_id or None, document["event_id"], value), endpoint_id, event_id)

    def _refused(self, endpoint_id: str, event_id: str | None, refusal: Refusal) -> Item:
        outgoing = outgoing_refusal(refusal, self._app_id, self._sender, self._limits.event_bytes_max)
        return Item(outgoing, endpoint_id, event_id, refusal)


def _not_whole(what: str) -> Unreadable:
    return Unreadable(Reason.NOT_JSON, f"{what} has half of a surrogate pair (\\ud800 to \\udfff)", "characters that UTF-8 can hold")
