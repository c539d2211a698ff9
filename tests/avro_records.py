"""Avro values as producers write them, for tests."""

import io
import json
from collections.abc import Mapping
from typing import Any

import fastavro

from agents.avro.schemas import OURS
from agents.avro.writer_schema import fingerprint

STREAM_RECORD = json.loads(OURS.read_text())
OBJECT_HEAD = b"\xc3\x01" + fingerprint(OURS.read_text())


def write_datum(document: Mapping[str, Any], schema: Any = STREAM_RECORD) -> bytes:
    """One datum, without anything before it; what the stream record has as an object is a text in Avro."""
    facets = document.get("facets")
    record = {**document, "facets": json.dumps(facets, separators=(",", ":"))} if isinstance(facets, dict) else dict(document)
    file = io.BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(schema), record)
    return file.getvalue()


def as_object(document: Mapping[str, Any], schema: Any = STREAM_RECORD) -> bytes:
    """Single-object encoding."""
    return b"\xc3\x01" + fingerprint(json.dumps(schema)) + write_datum(document, schema)


def as_framed(document: Mapping[str, Any], schema_id: int, schema: Any = STREAM_RECORD) -> bytes:
    """The framing of a schema registry."""
    return b"\0" + schema_id.to_bytes(4, "big") + write_datum(document, schema)


def varint(number: int) -> bytes:
    """Avro's int and long."""
    left, written = (number << 1) ^ (number >> 63), bytearray()
    left &= (1 << 64) - 1
    while left > 127:
        written.append(left & 127 | 128)
        left >>= 7
    written.append(left)
    return bytes(written)
