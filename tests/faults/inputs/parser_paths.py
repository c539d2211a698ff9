"""Every way on which a message is read, asked for its verdict: the reason why it is none, READABLE for a JSON object, or EVENT."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from agents.decode_avro import decode_records
from agents.event_steps import EventRules
from agents.parsing.endpoint_shape import EndpointError, parse_endpoint
from agents.parsing.exact_json import Unreadable, parse_counted, parse_exactly
from agents.parsing.fit import Unfit, fit_record
from agents.parsing.update_shape import read_update
from agents.redact import RedactRules, redact_records
from agents.rejected_envelope import NoEnvelope, read_envelope
from agents.validate import Validated, ValidateRules, validate_batch, validate_strictly
from pipeline.collect.free_json import RecordReader
from pipeline.collect.outgoing import Limits, Sender
from pipeline.config import load_settings
from pipeline.event_stream import build_event_rules
from pipeline.imports.objects import split_objects
from pipeline.imports.rows import BrokenFileError
from tests.avro_records import as_object
from tests.validate_inputs import EVENT, build_records

READABLE, EVENT_VERDICT, REFUSED = "readable", "event", "refused"
RULES = ValidateRules(1_000_000)
_REDACT = RedactRules(removed=frozenset({"sku"}))
_SENDER = Sender(1764000001000, "api", "192.0.2.1", "x", 1764000000000)

Verdicts = list[str]
ParserPath = Callable[[Sequence[bytes]], Verdicts]


def verdicts_of(validated: Validated, count: int) -> Verdicts:
    """Of so many records, in their order."""
    found: dict[Any, Any] = dict(zip(validated.dead["_offset"].to_pylist(), validated.dead["reason"].to_pylist(), strict=True))
    found |= dict.fromkeys(validated.parsed["_offset"].to_pylist(), EVENT_VERDICT)
    return [found[row] for row in range(count)]


def _by_table(validate: Callable[[pa.Table], Validated]) -> ParserPath:
    def ask(values: Sequence[bytes]) -> Verdicts:
        return verdicts_of(validate(build_records(values)), len(values))

    return ask


def _by_parser(read: Callable[[bytes], object], verdict: str) -> ParserPath:
    """Of a parser that raises Unreadable for what is no JSON object; other errors say that it was one."""

    def ask(values: Sequence[bytes]) -> Verdicts:
        return [_ask_one(read, verdict, value) for value in values]

    return ask


def _ask_one(read: Callable[[bytes], object], verdict: str, value: bytes) -> str:
    try:
        read(value)
    except (Unreadable, Unfit) as error:
        is_shape = isinstance(error, Unfit) and verdict == READABLE
        return READABLE if is_shape else str(error.reason)
    except (EndpointError, NoEnvelope):
        return READABLE
    return verdict


# By these a message is an event, or none for a reason; all must say the same.
EVENT_PATHS: dict[str, ParserPath] = {
    "compiled reader": _by_table(lambda records: validate_batch(records, RULES)),
    "strict reading": _by_table(lambda records: validate_strictly(records, RULES)),
    "after redaction": _by_table(lambda records: validate_batch(redact_records(records, _REDACT), RULES)),
    "exact parser": _by_parser(lambda value: fit_record(parse_exactly(value)), EVENT_VERDICT),
    "counted parser": _by_parser(lambda value: fit_record(parse_counted(value)), EVENT_VERDICT),
}
# By these a message is a JSON object that is something else, or none for a reason.
OBJECT_PATHS: dict[str, ParserPath] = {
    "updates of endpoints": _by_parser(lambda value: read_update(parse_counted(value)), READABLE),
    "endpoints in files and calls": _by_parser(parse_endpoint, READABLE),
    "envelopes of refusals": _by_parser(read_envelope, READABLE),
}


def ask_collector(value: bytes, may_name_apps: bool = False) -> list[str]:
    """What the record streams of the HTTP API make of it, item by item. What they accept is a value that goes to the worker, and must be an event there."""
    items = list(RecordReader("shop", _SENDER, Limits(1_000_000), may_name_apps=may_name_apps).read(value))
    accepted = [item.outgoing.value for item in items if item.refusal is None]
    said = EVENT_PATHS["compiled reader"](accepted) if accepted else []
    assert said == [EVENT_VERDICT] * len(accepted), (value, said)
    return [EVENT_VERDICT if item.refusal is None else str(item.refusal.reason) for item in items]


def ask_import(value: bytes) -> list[tuple[bytes, str]]:
    """Of each piece that `headwater import` finds in the line, its bytes and the verdict: REFUSED, or what the worker says, to which it goes as it is.

    A line that breaks off within an object ends the list with it.
    """
    said: list[tuple[bytes, str]] = []
    try:
        for piece in split_objects([value + b"\n"], "file", msgspec.json.Decoder(dict).decode):
            is_taken = piece.decoded is not None
            said.append((piece.content, EVENT_PATHS["compiled reader"]([piece.content])[0] if is_taken else REFUSED))
    except BrokenFileError:
        said.append((value, REFUSED))
    return said


@functools.cache
def _load_rules() -> EventRules:
    return build_event_rules(load_settings())


def ask_avro(text: str) -> str:
    """What becomes of a text within an Avro datum where an object stands: READABLE, "text" where it is kept as one, or why the record is dead."""
    rules = _load_rules()
    decoded = decode_records(build_records([as_object(EVENT | {"facets": text})]), rules.avro, rules.validate)
    assert not decoded.verdicts
    validated = validate_batch(decoded.records, RULES)
    if validated.dead.num_rows:
        return str(validated.dead["reason"][0])
    return "text" if validated.parsed["facets"][0].as_py() is None else READABLE
