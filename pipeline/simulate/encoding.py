"""How a run's messages travel: as the JSON that the plan makes, as Avro in single-object encoding, or every other one of each."""

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import fastavro
import msgspec

from agents.avro.schemas import OBJECT_MARK, OURS
from agents.avro.writer_schema import fingerprint
from schemas.errors import UsageError

ENCODINGS = ("json", "avro", "mixed")
Encode = Callable[[bytes], bytes]


def build_encode(encoding: str) -> Encode:
    """What makes the bytes of a record of a message's JSON.

    Raises UsageError for an encoding that is none.
    """
    if encoding not in ENCODINGS:
        raise UsageError(f"Option '--encoding' is '{encoding}'; expected one of {', '.join(ENCODINGS)}.")
    if encoding == "json":
        return keep_json
    write = AvroWriter().write
    turns: Iterator[bool] = itertools.repeat(True) if encoding == "avro" else itertools.cycle((True, False))
    return lambda value: write(value) if next(turns) else value


def keep_json(value: bytes) -> bytes:
    """The JSON itself."""
    return value


class AvroWriter:
    """Writes JSON stream records by stream_record.avsc."""

    def __init__(self) -> None:
        text = OURS.read_bytes()
        self._schema: Any = fastavro.parse_schema(msgspec.json.decode(text))
        self._head = OBJECT_MARK + fingerprint(text)

    def write(self, value: bytes) -> bytes:
        """The record in single-object encoding; the JSON itself where the schema has not a place for all of it."""
        file = io.BytesIO()
        file.write(self._head)
        try:
            document = msgspec.json.decode(value)
            if isinstance(document.get("facets"), dict):
                document["facets"] = msgspec.json.encode(document["facets"]).decode()
            fastavro.schemaless_writer(file, self._schema, document, strict_allow_default=True)
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError):
            return value
        return file.getvalue()
