"""What a reader yields: rows, rows that cannot be used, and the two ways in which a whole file fails."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from schemas.errors import HeadwaterError


class RowError(Exception):
    """One row cannot become a stream record; the file goes on. The field, the value found (shortened), what was expected.

    `kind` is what was expected without anything of the row in it, no value, no line: what rows are counted by. It is the reason itself where that has none.
    """

    def __init__(self, field: str | None, value: object, reason: str, kind: str | None = None) -> None:
        self.field, self.value, self.reason, self.kind = field, None if value is None else shorten(value), reason, kind or reason
        super().__init__(reason)


class OpenEndError(RowError):
    """The same where the row has no end before the file has: in a longer copy of the file it may be another row, and so may those after it."""


class FileError(HeadwaterError):
    """A file cannot be read as what it says it is; nothing of it was sent."""


class BrokenFileError(FileError):
    """A file ends too early or is damaged from some place on; every row before it was read."""


class BusyFileError(FileError):
    """Another process imports the same content at this moment."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    `number` counts the file's rows from 1, bad ones among them: it is the row's place, and stays so in every later run.
    `line` is where the row begins in a text file, None in Parquet and Avro. `content` is the row's bytes: what "identical" means.
    `values` is what the reader made of it: columns by name, or the Head of a stream record that travels as its bytes;
    a RowError when it is no row at all.
    """

    number: int
    line: int | None
    content: bytes
    values: Any


def shorten(value: object, length: int = 200) -> str:
    """A value as text for a message: at most `length` characters."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= length else text[: length - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """' (did you mean 'x'?)' for a misspelt name, '' when nothing comes near."""
    lowered = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    return f" (did you mean '{lowered[found[0]]}'?)" if found else ""
