"""Free JSON, as apps write it to Kinesis, Firehose or NDJSON, made into stream records: by a mapping, or by names in common use."""

import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from agents.parsing.exact_json import Unreadable, parse_exactly, shorten
from agents.parsing.fit import Unfit
from pipeline.collect import stream_record
from pipeline.collect.outgoing import (
    Item,
    Limits,
    Refusal,
    Sender,
    TooMuchError,
    judge_record,
    outgoing_event,
    outgoing_refusal,
    refuse,
    without_address,
)
from pipeline.collect.put_events import PutEventsReader
from pipeline.imports.mapping import Mapping
from pipeline.imports.objects import split_objects
from pipeline.imports.rows import BrokenFileError, RowError
from pipeline.imports.times import parse_time
from schemas.records import Reason

# Names that a field goes by where no mapping says it, the first that is there.
EVENT_TYPE_NAMES = ("event_type", "eventType", "event_name", "eventName", "event", "type", "name")
TIME_NAMES = ("event_timestamp", "timestamp", "time", "ts", "created_at", "createdAt")
EVENT_ID_NAMES = ("event_id", "eventId", "message_id", "messageId", "id")
ENDPOINT_ID_NAMES = ("endpoint_id", "endpointId", "client_id", "clientId", "anonymous_id", "anonymousId", "device_id", "deviceId")
USER_ID_NAMES = ("user_id", "userId")
SESSION_ID_NAMES = ("session_id", "sessionId")
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# JSON in a text in a text is as far as clients go.
_WRAPS_MAX = 3


class RecordReader:
    """Makes items of the data of one record of a stream, which holds one JSON value, or several, with or without line ends between.

    A value is a stream record, a body of PutEvents, or free JSON. `may_name_apps`: the caller may write events of other apps than `app_id`.
    `default_time`: when that happened which tells no time, ms since 1970; None for the moment at which it was received.
    """

    def __init__(
        self,
        app_id: str,
        sender: Sender,
        limits: Limits,
        mapping: Mapping | None = None,
        may_name_apps: bool = False,
        default_time: int | None = None,
    ) -> None:
        self._app_id, self._sender, self._limits = app_id, sender, limits
        self._headwater: dict[str, Any] = json.loads(msgspec.json.encode(sender))
        self._default_time = sender.received_at if default_time is None else default_time
        self._mapping, self._may_name_apps = mapping, may_name_apps

    def read(self, data: bytes, id_base: str | None = None) -> Iterator[Item]:
        """The items of one record, at least one, as they are made. What has no id of its own gets `<id_base>/<place>`, or a UUID.

        `id_base` is something that a resend of the same record repeats, where there is such a thing.
        """
        try:
            self._limits.check_tokens(data)
        except TooMuchError as error:
            # A record among others: it alone is refused.
            yield self._refused(Unfit(Reason.TOO_LARGE, str(error), {}), data)
            return
        place = 0
        for content in _unwrap(data):
            for item in self._read_value(content, None if id_base is None else f"{id_base}/{place}"):
                place += 1
                yield item
        if not place:
            yield self._refused(_explain_nothing(data), data)

    def _read_value(self, content: bytes, event_id: str | None) -> Iterable[Item]:
        try:
            value = parse_exactly(content)
            if not isinstance(value, dict):
                raise Unreadable(Reason.NOT_AN_OBJECT, "The record is JSON and no object", "one JSON object")
        except Unreadable as error:
            # PutEvents takes a body apart that a strict reading refuses.
            if b'"BatchItem"' in content:
                return self._read_put_events(content)
            return [self._refused(error, content)]
        if "BatchItem" in value:
            return self._read_put_events(content)
        if "event_type" in value and "event_timestamp" in value and self._mapping is None:
            return [self._read_stream_record(value, content, event_id)]
        return [self._read_free(value, content, event_id)]

    def _read_put_events(self, content: bytes) -> list[Item]:
        try:
            return PutEventsReader(self._app_id, self._sender, self._limits).read(content)
        except (Unreadable, Unfit) as error:
            return [self._refused(error, content)]

    def _read_stream_record(self, record: dict[str, Any], content: bytes, event_id: str | None) -> Item:
        application = record.get("application")
        named = application.get("app_id") if isinstance(application, dict) else None
        if named is None:
            record["application"] = (application if isinstance(application, dict) else {}) | {"app_id": self._app_id}
        elif named != self._app_id and not self._may_name_apps:
            error = f"Field 'application.app_id' is {shorten(named)}; expected '{self._app_id}', the app of this stream and key."
            return self._refused(Unfit(Reason.WRONG_TYPE, error, {}), content)
        return self._judge(record, content, event_id)

    def _read_free(self, value: dict[str, Any], content: bytes, event_id: str | None) -> Item:
        try:
            record = self._mapping_record(value) if self._mapping is not None else self._guess(value)
        except RowError as error:
            reason = Reason.MISSING_FIELD if error.value is None else Reason.WRONG_TYPE
            found = "missing" if error.value is None else f"'{error.value}'"
            return self._refused(Unfit(reason, f"Field '{error.field}' is {found}; {error.reason}.", {}), content)
        return self._judge(record, content, event_id)

    def _mapping_record(self, value: dict[str, Any]) -> dict[str, Any]:
        """By the mapping, which wants plain numbers."""
        assert self._mapping is not None
        plain = json.loads(msgspec.json.encode(value))
        return self._mapping.build_record(plain, self._app_id, self._mapping.unmapped_columns(plain))

    def _guess(self, value: dict[str, Any]) -> dict[str, Any]:
        """By names in common use; texts become attributes, numbers metrics, all else attributes as JSON text."""
        rest = dict(value)
        event_type = _take(rest, EVENT_TYPE_NAMES, str)
        if event_type is None:
            raise RowError(
                EVENT_TYPE_NAMES[0], None, f"expected a text under one of {', '.join(EVENT_TYPE_NAMES)}, or a mapping for this stream"
            )
        record: dict[str, Any] = {"event_type": event_type, "application": {"app_id": self._app_id}}
        record["event_timestamp"] = self._take_time(rest)
        event_id = _take(rest, EVENT_ID_NAMES, str)
        if event_id:
            record["event_id"] = event_id
        endpoint_id, user_id, session_id = (_take(rest, names, str) for names in (ENDPOINT_ID_NAMES, USER_ID_NAMES, SESSION_ID_NAMES))
        if endpoint_id or user_id:
            record["client"] = {"client_id": endpoint_id or user_id}
        if user_id:
            record["client_context"] = {"custom": {"endpoint": json.dumps({"User": {"UserId": user_id}})}}
        if session_id:
            record["session"] = {"session_id": session_id}
        record["attributes"], record["metrics"] = {}, {}
        for name, inner in rest.items():
            if name in {"attributes", "metrics"} and isinstance(inner, dict):
                record[name] |= inner
            elif isinstance(inner, msgspec.Raw):
                record["metrics"].setdefault(name, inner)
            elif inner is not None:
                record["attributes"].setdefault(name, inner)
        return record

    def _take_time(self, rest: dict[str, Any]) -> Any:
        for name in TIME_NAMES:
            if rest.get(name) is not None:
                sent = rest.pop(name)
                plain = (
                    float(bytes(sent)) if isinstance(sent, msgspec.Raw) else sent if isinstance(sent, str) else msgspec.json.encode(sent)
                )
                try:
                    # A number this small is in seconds: as milliseconds it would lie within 1970's first four months.
                    return parse_time(plain, "s" if isinstance(plain, float) and plain < 10_000_000_000 else None)
                except (ValueError, OverflowError):
                    raise RowError(name, plain, "expected ISO 8601, or seconds or milliseconds since 1970") from None
        return self._default_time

    def _judge(self, record: dict[str, Any], content: bytes, event_id: str | None) -> Item:
        """The item of a stream record that is whole but for what the collector adds."""
        if not isinstance(record.get("event_id"), str) or not record["event_id"]:
            record["event_id"] = event_id or str(uuid.uuid4())
        record.setdefault("arrival_timestamp", self._sender.received_at)
        record.setdefault("event_version", stream_record.EVENT_VERSION)
        sent = record.get("headwater")
        # Whose address and user agent it was is kept where a relay says it; the clock that it was sent by is not the relay's to tell.
        kept = {name: sent[name] for name in ("client_ip", "user_agent") if isinstance(sent, dict) and isinstance(sent.get(name), str)}
        record["headwater"] = self._headwater | kept
        client = record.get("client")
        found = client.get("client_id") if isinstance(client, dict) else None
        endpoint_id = found if isinstance(found, str) else None
        try:
            value = judge_record(record, self._limits.event_bytes_max)
        except (Unreadable, Unfit) as error:
            record["headwater"] = self._headwater | {"client_ip": without_address(self._sender).client_ip}
            return self._refused(error, msgspec.json.encode(record), event_id=record["event_id"], endpoint_id=endpoint_id)
        outgoing = outgoing_event(record["application"]["app_id"], endpoint_id, record["event_id"], value)
        return Item(outgoing, endpoint_id or "", record["event_id"])

    def _refused(self, error: Unreadable | Unfit, value: bytes, **known: str | None) -> Item:
        refusal: Refusal = refuse(error, value, **known)
        return Item(outgoing_refusal(refusal, self._app_id, self._sender, self._limits.event_bytes_max), refusal=refusal)


def _unwrap(data: bytes) -> Iterator[bytes]:
    """The JSON values of a record: a text that holds JSON is opened, values that run together are taken apart."""
    for _ in range(_WRAPS_MAX):
        if not data.lstrip().startswith(b'"'):
            break
        try:
            data = msgspec.json.decode(data.strip(), type=str).encode()
        except (msgspec.MsgspecError, UnicodeError):
            break
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        is_one = True
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        is_one = False
    if is_one:
        yield from _split_array(data)
        return
    place = 0
    try:
        for piece in split_objects([data], "record", _decode_object):
            yield piece.content
            place = data.index(piece.content, place) + len(piece.content)
    except BrokenFileError:
        # What breaks off is refused; what stands whole before it is not.
        yield data[place:]


def _explain_nothing(data: bytes) -> Unreadable:
    """Why no value was found in a record: what is wrong with it, where it is not just empty."""
    try:
        parse_exactly(data.strip())
    except Unreadable as error:
        return error
    return Unreadable(Reason.EMPTY, "The record is empty", "one JSON object")


def _split_array(data: bytes) -> Iterable[bytes]:
    if not data.lstrip().startswith(b"["):
        return [data]
    try:
        return map(bytes, msgspec.json.decode(data, type=list[msgspec.Raw]))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return [data]


def _take(rest: dict[str, Any], names: Iterable[str], kind: type) -> Any:
    """The first of these names that is there with such a value, taken out; a number for a text is taken as it is written."""
    for name in names:
        value = rest.get(name)
        if isinstance(value, msgspec.Raw) and kind is str and name not in EVENT_TYPE_NAMES:
            value = bytes(value).decode()
        if isinstance(value, kind) and value != "":
            del rest[name]
            return value
    return None
