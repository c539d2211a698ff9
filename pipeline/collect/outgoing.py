"""What a request becomes: records on their way to Kafka, and refusals of what was no event."""

import base64
import ipaddress
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.enrichment.addresses import parse_address
from agents.parsing.exact_json import Unreadable, parse_counted
from agents.parsing.fit import Unfit, fit_record
from pipeline.producer import record_key
from pipeline.topology import RAW_EVENTS, REJECTED_EVENTS, Topic
from schemas.records import Reason

# Commas and colons for each item that a body may hold. An event with thirty members has about sixty; nobody sends thousands of those in one
# body, and as many as this cost a parser less than 50 MB.
TOKENS_PER_ITEM = 20


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


class TooMuchError(ValueError):
    """A request holds more than is taken at once; nothing of it was written."""


@dataclass(frozen=True)
class Limits:
    """What one request may hold. `event_bytes_max`: a larger event is refused; `items_max` and `bytes_max`, of records built: a request
    with more is."""

    event_bytes_max: int
    items_max: int = 10_000
    bytes_max: int = 32_000_000

    def check_tokens(self, body: bytes) -> None:
        """See, before it is parsed, that a body has no more commas and colons than so many items can have. Raises TooMuchError."""
        if body.count(b",") + body.count(b":") > TOKENS_PER_ITEM * self.items_max:
            raise TooMuchError(
                f"The body holds more than {self.items_max} items (setting HEADWATER_API_ITEMS_MAX), or very large ones; send fewer at once."
            )


class Items:
    """The items of one request as they are made, within its limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._bytes = limits, 0
        self.made: list[Item] = []

    def add(self, items: Iterable[Item]) -> None:
        """Raises TooMuchError as soon as there are too many, or too large ones together."""
        for item in items:
            self.made.append(item)
            self._bytes += len(item.outgoing.key) + len(item.outgoing.value)
            if len(self.made) > self._limits.items_max:
                raise TooMuchError(
                    f"The body holds more than {self._limits.items_max} items (setting HEADWATER_API_ITEMS_MAX); send fewer at once."
                )
            if self._bytes > self._limits.bytes_max:
                raise TooMuchError(
                    f"The body makes records of more than {self._limits.bytes_max} bytes together (setting HEADWATER_API_HELD_BYTES_MAX); send fewer at once."
                )


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
    known: dict[str, Any] = {name: refusal.known.get(name) for name in ("event_id", "event_type", "endpoint_id", "event_timestamp")}
    for name in ("event_id", "event_type", "endpoint_id"):
        text = known[name]
        known[name] = _printable(text) if isinstance(text, str) else None
    document: dict[str, Any] = {"reason": refusal.reason.value, "error": _printable(refusal.error), "app_id": app_id, **known}
    if len(refusal.value) <= event_bytes_max:
        try:
            document["value"] = refusal.value.decode()
        except UnicodeDecodeError:
            document["value_base64"] = base64.b64encode(refusal.value).decode()
    document |= {"value_bytes": len(refusal.value), "headwater": without_address(sender)}
    key = record_key(app_id, known["endpoint_id"], known["event_id"] or str(uuid.uuid4()))
    return Outgoing(REJECTED_EVENTS, key, msgspec.json.encode(document))


def without_address(sender: Sender) -> Sender:
    """The sender with the network of its address only: what is refused is kept for long."""
    address = parse_address(sender.client_ip or "")
    kept = (
        None if address is None else str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False).network_address)
    )
    return msgspec.structs.replace(sender, client_ip=kept)


def is_whole(text: str) -> bool:
    """Whether UTF-8 can hold a text: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(text: str) -> str:
    """Without halves of surrogate pairs, which UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()
