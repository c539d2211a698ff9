"""Stream records in JSON: what is needed of them is read, the rest travels byte for byte as it came."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.imports.fields import require
from pipeline.imports.rows import RowError

Raw = msgspec.Raw | msgspec.UnsetType


class _Application(msgspec.Struct):
    app_id: str | None = None


class _Client(msgspec.Struct):
    client_id: str | None = None


class _StreamRecord(msgspec.Struct, forbid_unknown_fields=True):
    """The top level of a stream record: an ordinary one has these names and types, and nothing else."""

    event_type: str
    event_timestamp: int
    application: _Application
    client: _Client | None = None
    event_id: str | msgspec.UnsetType | None = msgspec.UNSET
    headwater: Raw = msgspec.UNSET
    arrival_timestamp: Raw = msgspec.UNSET
    event_version: Raw = msgspec.UNSET
    device: Raw = msgspec.UNSET
    session: Raw = msgspec.UNSET
    attributes: Raw = msgspec.UNSET
    metrics: Raw = msgspec.UNSET
    client_context: Raw = msgspec.UNSET
    awsAccountId: Raw = msgspec.UNSET
    facets: Raw = msgspec.UNSET


TOP_LEVEL = frozenset(_StreamRecord.__struct_fields__)
_DECODER = msgspec.json.Decoder(_StreamRecord)


@dataclass(frozen=True, slots=True)
class Head:
    """What import needs of a stream record.

    `unknown` are top-level names that no stream record has: they land in `extra`. `problem` says why it cannot be sent.
    """

    event_id: str | None
    event_timestamp: int | None
    app_id: str | None
    endpoint_id: str | None
    has_id_name: bool
    has_headwater: bool
    unknown: tuple[str, ...] = ()
    problem: RowError | None = None


def read_head(content: bytes) -> Head:
    """The head of one JSON object.

    Raises msgspec.DecodeError when the bytes are not exactly one.
    """
    try:
        found = _DECODER.decode(content)
    except msgspec.ValidationError:
        return _read_odd_head(content)
    if not found.event_type:
        return _read_odd_head(content)
    return Head(
        event_id=found.event_id or None,
        event_timestamp=found.event_timestamp,
        app_id=found.application.app_id,
        endpoint_id=found.client.client_id if found.client else None,
        has_id_name=found.event_id is not msgspec.UNSET,
        has_headwater=found.headwater is not msgspec.UNSET,
    )


def seal(content: bytes, head: Head, event_id: str, app_id: str | None, source: bytes) -> bytes:
    """The record with its id and its source set, every other byte as it was.

    `event_id` is used where the record has none, `app_id` where it names no app; `source` is JSON text.

    Raises RowError when the record must be written anew and gives a name twice: one of the values would be lost.
    """
    needs_id = head.event_id is None
    if not head.has_headwater and (not needs_id or not head.has_id_name) and head.app_id:
        prefix = b'{"event_id":' + msgspec.json.encode(event_id) + b"," if needs_id else b"{"
        return prefix + b'"headwater":{"source":' + source + b"}," + content[1:].lstrip()
    top = _top_level(content)
    if needs_id:
        top["event_id"] = msgspec.Raw(msgspec.json.encode(event_id))
    headwater = _object(top.get("headwater"))
    headwater["source"] = msgspec.Raw(source)
    top["headwater"] = msgspec.Raw(msgspec.json.encode(headwater))
    if not head.app_id and app_id:
        application = _object(top.get("application"))
        application["app_id"] = msgspec.Raw(msgspec.json.encode(app_id))
        top["application"] = msgspec.Raw(msgspec.json.encode(application))
    return msgspec.json.encode(top)


def _read_odd_head(content: bytes) -> Head:
    """The same for a record with unknown names, or with values of other types than usual: numbers as ids, a float as time."""
    found = msgspec.json.decode(content, type=dict[str, Any])
    time = found.get("event_timestamp")
    if isinstance(time, float) and time.is_integer():
        time = int(time)
    application, client = found.get("application"), found.get("client")
    app_id = _id(application.get("app_id")) if isinstance(application, dict) else None
    problem = None
    try:
        # Without an app the row can still be sent under --app.
        require({"event_type": found.get("event_type"), "event_timestamp": time, "application": {"app_id": app_id or "?"}})
    except RowError as error:
        problem = error
        if isinstance(time, str):
            problem = RowError("event_timestamp", time, "expected ms since 1970 as a number; other times need a --mapping with a format")
    return Head(
        event_id=_id(found.get("event_id")),
        event_timestamp=time if isinstance(time, int) else None,
        app_id=app_id,
        endpoint_id=_id(client.get("client_id")) if isinstance(client, dict) else None,
        has_id_name="event_id" in found,
        has_headwater="headwater" in found,
        unknown=tuple(name for name in found if name not in TOP_LEVEL),
        problem=problem,
    )


def _id(value: object) -> str | None:
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _top_level(content: bytes) -> dict[str, msgspec.Raw]:
    top = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    if len(msgspec.json.encode(top)) == len(content):
        return top  # Every byte is accounted for: no name was given twice.
    names = [name for name, _ in json.loads(content, object_pairs_hook=list)]
    if len(names) != len(top):
        twice = next(name for name in names if names.count(name) > 1)
        raise RowError(
            twice, None, f"expected each name once, '{twice}' is given {names.count(twice)} times", kind="expected each name once"
        )
    return top


def _object(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    if raw is None or not bytes(raw).lstrip().startswith(b"{"):
        return {}
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
