"""NDJSON of endpoints, as Pinpoint's exports are: one object a line, or several on it, or in one array; read as strictly as the worker reads."""

from collections.abc import Iterable, Iterator

import msgspec

from agents.parsing.exact_json import Unreadable, parse_counted
from pipeline.imports.objects import split_objects
from pipeline.imports.places import StoredFile
from pipeline.imports.rows import FileError, Row, RowError


def read_ndjson(file: StoredFile, parts: Iterable[bytes], quotes: bool = True) -> Iterator[Row]:
    """Rows whose content is the object's bytes and whose values what it says, or the RowError of what is no endpoint's JSON.

    `quotes` is False while redaction is on: then no reason quotes the text.

    Raises FileError when there is nothing in it, BrokenFileError at its end when it breaks off within an object.
    """
    number = 0
    for piece in split_objects(parts, file.address, _decode if quotes else _decode_unquoted):
        number += 1
        values = piece.decoded if piece.reason is None else RowError(None, piece.content, piece.reason, kind="expected one JSON object")
        yield Row(number, piece.line, piece.content, values)
    if not number:
        raise FileError(f"File '{file.address}' is empty; expected one endpoint a line, as JSON.")


def _decode(content: bytes) -> object:
    """Raises msgspec.DecodeError for what is wrong: it may be several objects, or the beginning of one, which the splitter tells."""
    try:
        return parse_counted(content)
    except Unreadable as error:
        raise msgspec.DecodeError(error.error.rstrip(".")) from None


def _decode_unquoted(content: bytes) -> object:
    try:
        return parse_counted(content)
    except Unreadable as error:
        raise msgspec.DecodeError(error.bare_error.rstrip(".")) from None
