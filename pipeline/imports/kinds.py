"""What an import must know of the files it reads: one kind is archives of events, another files of endpoints; the import is the same."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.imports.formats import Format
from pipeline.imports.outcome import Outcome
from pipeline.imports.places import StoredFile
from pipeline.imports.read import Content
from pipeline.imports.rows import Row, RowError
from pipeline.topology import Topic


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is no error and is not sent all the same."""


Judged = tuple[Row, tuple[bytes, bytes] | RowError | LeftOut]
Judge = Callable[[Sequence[Row]], Iterator[Judged]]


@dataclass(frozen=True)
class Terms:
    """What an import was begun with: it goes on with the same, or not at all. `recorded_app_id` is what the lake's table says."""

    mapping: str | None
    app_id: str | None
    identical_policy: str
    recorded_app_id: str | None


class Kind(Protocol):
    """One kind of files. `folder` holds ledgers and reports; `is_again`: a file that was imported before is imported once more."""

    topic: Topic
    folder: Path
    terms: Terms

    @property
    def is_again(self) -> bool: ...

    advice: str

    def ledger_name(self, content_hash: str) -> str:
        """The name of the ledger of a content."""

    def key(self, content_hash: str, id_base: str) -> str:
        """What the lake's table knows a finished import by."""

    def new_id_base(self, content_hash: str) -> str:
        """What ids of rows begin with in an import that begins now."""

    def detect(self, file: StoredFile) -> Format | None:
        """Format of a file; None for a stranger in a folder. Raises FileError."""

    def open(self, file: StoredFile, file_format: Format) -> AbstractContextManager[Content]:
        """The file's rows, while it is open. Raises FileError."""

    def judge(self, file: StoredFile, content: Content, id_base: str, outcome: Outcome) -> Judge:
        """What makes records of the file's rows: called with each batch, in order. What it counts goes into `outcome`."""
