"""An event id looked for among the records that Kafka holds and that have not landed, bounded in bytes and time."""

import datetime as dt
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.batch import ORIGIN_HEADER
from agents.land import Position
from agents.parsing.exact_json import Unreadable
from agents.rejected_envelope import NoEnvelope, read_envelope
from pipeline.config import Settings
from pipeline.kafka_records import HeldRecord, OffsetsGoneError, Span, TopicReader
from pipeline.landed import Landed
from pipeline.topic_ids import find_topic
from pipeline.trace.wanted import Wanted


@dataclass(frozen=True)
class Bounds:
    """How much is looked through at most."""

    bytes_max: int
    secs_max: float


@dataclass
class Look:
    """What a look through Kafka found: waiting records (topic, topic_id, partition, offset, appended_at, app_id, event_type, is_readable,
    refused: the collector's reason), how many were looked at, and which offsets [topic, partition, start, end) were not because of `bound`.
    """

    waiting: list[dict[str, Any]] = field(default_factory=list)
    records: int = 0
    value_bytes: int = 0
    bound: str | None = None
    not_looked_at: list[tuple[str, int, int, int]] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return self.bound is None


# What can be said of a record (of the topic with this id) when it is the event, or holds its id and cannot be read.
Match = Callable[[HeldRecord, str, Wanted], dict[str, Any] | None]


def look_through_kafka(settings: Settings, topics: Mapping[str, Match], landed: Sequence[Landed], wanted: Wanted, bounds: Bounds) -> Look:
    """Look at every record of the topics behind what has landed, one topic after the other.

    Raises UnavailableError when Kafka does not answer.
    """
    look, end_at = Look(), time.monotonic() + bounds.secs_max
    for topic, match in topics.items():
        _look_through_topic(settings, topic, match, landed, wanted, bounds, end_at, look)
    return look


def _look_through_topic(
    settings: Settings,
    topic: str,
    match: Match,
    landed: Sequence[Landed],
    wanted: Wanted,
    bounds: Bounds,
    end_at: float,
    look: Look,
) -> None:
    state = find_topic(settings, topic)
    known = {one.position: one.wanted for one in landed}
    bound = None
    with TopicReader(settings, topic) as reader:
        held = reader.bounds(range(state.partition_count))
        starts = {number: max(span.start, known.get(Position(state.topic_id, number), 0)) for number, span in held.items()}
        spans = [Span(number, start, held[number].end) for number, start in starts.items()]
        try:
            for records in reader.read(spans):
                if look.value_bytes > bounds.bytes_max or time.monotonic() > end_at:
                    break
                for record in records:
                    starts[record.partition] = record.offset + 1
                    look.records += 1
                    look.value_bytes += len(record.value or b"")
                    if _is_new_enough(record, wanted) and (found := match(record, state.topic_id, wanted)):
                        look.waiting.append({"topic": topic, "topic_id": state.topic_id, **found})
            else:
                return
        except OffsetsGoneError:
            bound = "Kafka deleted records while they were being looked at"
    is_late = look.value_bytes <= bounds.bytes_max
    bound = bound or (f"{bounds.secs_max:g} s (--kafka-secs)" if is_late else f"{bounds.bytes_max:,} bytes (--kafka-bytes)")
    left = [(topic, number, start, held[number].end) for number, start in starts.items() if start < held[number].end]
    if left:
        look.not_looked_at += left
        look.bound = look.bound or bound


def _is_new_enough(record: HeldRecord, wanted: Wanted) -> bool:
    return wanted.since is None or record.appended_ms >= wanted.since.timestamp() * 1000


def match_event(record: HeldRecord, topic_id: str, wanted: Wanted) -> dict[str, Any] | None:
    """A record of raw-events."""
    return _match(record, topic_id, wanted, "event_id", _read_event)


def _read_event(document: dict[str, Any]) -> tuple[Any, Any]:
    """(app, event type) of a stream record."""
    application = document.get("application")
    return application.get("app_id") if isinstance(application, dict) else None, document.get("event_type")


def _match(
    record: HeldRecord, topic_id: str, wanted: Wanted, id_name: str, read: Callable[[dict[str, Any]], tuple[Any, Any]]
) -> dict[str, Any] | None:
    """A record that has the id wanted under `id_name`, or in its bytes when it cannot be read; `read` finds its app and its type."""
    value = record.value or b""
    is_derived = wanted.place is not None and wanted.event_id in _places(record, topic_id)
    if not is_derived and not any(spelling.encode(errors="replace") in value for spelling in wanted.spellings):
        return None
    place = _place(record)
    try:
        # Numbers as they are written.
        document = json.loads(value, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        if not re.search(wanted.pattern.encode(errors="replace"), value):
            return None
        return place | {"app_id": None, "event_type": None, "is_readable": False}
    app_id, event_type = read(document)
    # As the workers will read it: a number or a literal is its text, an object is no id.
    sent_id = _as_text(document.get(id_name))
    if (sent_id or None) != (None if is_derived else wanted.event_id) or wanted.app_id not in {None, app_id}:
        return None
    return place | {"app_id": app_id, "event_type": event_type, "is_readable": True}


def match_update(record: HeldRecord, topic_id: str, wanted: Wanted) -> dict[str, Any] | None:
    """A record of endpoint-updates; what is said of it in place of the event's type is the operation."""
    return _match(record, topic_id, wanted, "update_id", lambda document: (document.get("app_id"), document.get("operation")))


def match_refused(record: HeldRecord, topic_id: str, wanted: Wanted) -> dict[str, Any] | None:
    """A record of rejected-events: it is found as its dead letter will be, by the id of its envelope, by its place, and when there is no
    id by the bytes of what was refused."""
    value, refused, known = record.value or b"", None, dict[str, Any]()
    try:
        refusal = read_envelope(value)
    except NoEnvelope as error:
        known = dict(error.known)
    except Unreadable:
        pass
    else:
        value, refused, known = refusal.value or b"", refusal.reason.value, dict(refusal.known)
    event_id, app_id = known.get("event_id"), known.get("app_id")
    is_it = event_id == wanted.event_id or wanted.place == (topic_id, record.partition, record.offset)
    is_in_bytes = event_id is None and re.search(wanted.pattern.encode(errors="replace"), value) is not None
    if not (is_it or is_in_bytes) or wanted.app_id not in {None, app_id}:
        return None
    return _place(record) | {"app_id": app_id, "event_type": known.get("event_type"), "is_readable": is_it, "refused": refused}


def _place(record: HeldRecord) -> dict[str, Any]:
    return {"partition": record.partition, "offset": record.offset, "appended_at": _moment(record.appended_ms), "refused": None}


def _as_text(sent: Any) -> str | None:
    """The text that a column takes; None for an object, a list and null."""
    if isinstance(sent, bool):
        return "true" if sent else "false"
    return sent if isinstance(sent, str) else None


def _places(record: HeldRecord, topic_id: str) -> list[str]:
    """The ids that an event without one may get of where it is, or of where it came from."""
    origins = [value.decode(errors="replace") for name, value in record.headers if name == ORIGIN_HEADER and value]
    return origins or [f"{topic_id}/{record.partition}/{record.offset}"]


def _moment(millis: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(millis / 1000, dt.UTC)
