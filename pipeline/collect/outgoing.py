"""What a request becomes: records on their way to Kafka, and refusals of what was no event."""

import base64
import uuid
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.parsing.exact_json import Unreadable, parse_counted
from agents.parsing.fit import Unfit, fit_record
from pipeline.producer import record_key
from pipeline.topology import RAW_EVENTS, REJECTED_EVENTS, Topic
from schemas.records import Reason


class Sender(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the collector knows of a request: object `headwater` of every record that it writes. Times in ms since 1970.

    `sent_at` is the sender's clock at the moment of sending, where the request says it.
    """

    received_at: int
    source: str
    client_ip: str | None = None
    user_agent: str | None = None
    sent_at: int | None = None


class Outgoing(msgspec.Struct, frozen=True):
    """One record for Kafka."""

    topic: Topic
    key: bytes
    value: bytes

    @property
    def bytes_held(self) -> int:
        return len(self.key) + len(self.value)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something became no event: `error` names field, value and what was expected; `known` are ids that could be read."""

    reason: Reason
    error: str
    value: bytes
    known: dict[str, Any]


class Item(msgspec.Struct, frozen=True):
    """One thing that a request held, in its order: an event, an update of an endpoint, or what was neither.

    `outgoing` is what is written for it: for a refused one the record in rejected-events, from which its dead letter comes.
    """

    outgoing: Outgoing
    endpoint_id: str = ""
    event_id: str | None = None
    refusal: Refusal | None = None


def judge_record(document: dict[str, Any], event_bytes_max: int) -> bytes:
    """The value of a stream record, when the worker's own reading takes it for an event.

    Raises Unreadable or Unfit, with the reason that the worker would give, and Unfit with `too_large` over `event_bytes_max`.
    """
    value = msgspec.json.encode(document)
    if len(value) > event_bytes_max:
        raise Unfit(Reason.TOO_LARGE, f"The event has {len(value)} bytes; expected at most {event_bytes_max}.", {})
    fit_record(parse_counted(value))
    return value


def outgoing_event(app_id: str, endpoint_id: str | None, event_id: str, value: bytes) -> Outgoing:
    """An event on its way to raw-events."""
    return Outgoing(RAW_EVENTS, record_key(app_id, endpoint_id, event_id), value)


def refuse(error: Unreadable | Unfit, value: bytes, **known: Any) -> Refusal:
    """The refusal that a reading's error stands for; what it read is known beside what the caller knows."""
    found = error.known if isinstance(error, Unfit) else {}
    return Refusal(error.reason, error.error, value, {name: each for name, each in {**found, **known}.items() if each is not None})


def outgoing_refusal(refusal: Refusal, app_id: str, sender: Sender, event_bytes_max: int) -> Outgoing:
    """A refusal on its way to rejected-events: schemas/rejected_event.avsc. What is over `event_bytes_max` keeps its size only."""
    known = {name: refusal.known.get(name) for name in ("event_id", "event_type", "endpoint_id", "event_timestamp")}
    for name in ("event_id", "event_type", "endpoint_id"):
        known[name] = known[name] if isinstance(known[name], str) else None
    document: dict[str, Any] = {"reason": refusal.reason.value, "error": _printable(refusal.error), "app_id": app_id, **known}
    if len(refusal.value) <= event_bytes_max:
        try:
            document["value"] = refusal.value.decode()
        except UnicodeDecodeError:
            document["value_base64"] = base64.b64encode(refusal.value).decode()
    document |= {"value_bytes": len(refusal.value), "headwater": sender}
    key = record_key(app_id, known["endpoint_id"], known["event_id"] or str(uuid.uuid4()))
    return Outgoing(REJECTED_EVENTS, key, msgspec.json.encode(document))


def _printable(text: str) -> str:
    """Without halves of surrogate pairs, which UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()
