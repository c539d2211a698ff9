"""A body of PutEvents taken apart into entries, whatever stands in one of them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from agents.native.library import count_names
from agents.parsing.exact_json import Unreadable, parse_exactly
from agents.parsing.fit import Unfit
from pipeline.collect.loose_json import parse_loosely, write_loosely
from pipeline.collect.odd_event import shown
from schemas.records import Reason


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    BatchItem: dict[str, msgspec.Raw]


_decode_request = msgspec.json.Decoder(_Request).decode


def split_request(body: bytes) -> list[tuple[str, bytes]]:
    """Entries with their endpoint ids, in order. Raises Unreadable or Unfit."""
    try:
        entries = _decode_request(body).BatchItem
        # Where something is no text the names cannot be counted: that is in doubt too.
        if count_names(body) == 1 + len(entries) + count_inner(entries.values()):
            return [(endpoint_id, bytes(raw)) for endpoint_id, raw in entries.items()]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    found = parse_loosely(body)
    if found is None:
        # Reads it strictly, which says where it is no JSON.
        found = parse_exactly(body)
    if isinstance(found, dict) and isinstance(found.get("EventsRequest"), dict):
        # As the operation's own shape has it around the body.
        found = found["EventsRequest"]
    if not isinstance(found, dict):
        raise Unfit(Reason.WRONG_TYPE, f"The body is {shown(found)}; expected an object with BatchItem.", {})
    if len({*map(str, found)}) != len(found):
        raise Unreadable(Reason.DUPLICATE_KEY, "BatchItem, or a name beside it, stands twice in the body", "each once")
    batch = found.get("BatchItem")
    if not isinstance(batch, dict):
        reason = Reason.MISSING_FIELD if batch is None else Reason.WRONG_TYPE
        raise Unfit(reason, f"Field 'BatchItem' is {shown(batch)}; expected an object of entries by endpoint id.", {})
    return [(str(endpoint_id), write_loosely(entry)) for endpoint_id, entry in batch.items()]


def find_problem(endpoint_id: str, entry: Any) -> Unfit | None:
    """Why an entry is none of PutEvents'; None when its events can be read one by one."""
    if not isinstance(entry, dict):
        said = f"Field 'BatchItem.{endpoint_id}' is {shown(entry)}; expected an object with Endpoint and Events."
        return Unfit(Reason.WRONG_TYPE, said, {})
    events = entry.get("Events")
    if not isinstance(events, (dict, type(None))):
        said = f"Field 'BatchItem.{endpoint_id}.Events' is {shown(events)}; expected an object of events by id."
        return Unfit(Reason.WRONG_TYPE, said, {})
    unknown = next((name for name in entry if name not in {"Endpoint", "Events"}), None)
    if unknown is not None:
        return Unfit(Reason.WRONG_TYPE, f"Field 'BatchItem.{endpoint_id}.{unknown}' is unknown; expected Endpoint and Events.", {})
    if events is None and entry.get("Endpoint") in (None, {}):
        return Unfit(Reason.MISSING_FIELD, f"Field 'BatchItem.{endpoint_id}.Events' is missing; expected an object of events by id.", {})
    return None


def count_inner(parts: Iterable[bytes | msgspec.Raw]) -> int:
    """Names within some JSON texts; one look at all of them costs less than one at each."""
    return count_names(b",".join(map(bytes, parts))) or 0
