"""A lake whose Delta tables lie in a folder instead of a bucket, and Headwater's own reader over it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from pipeline.ask.reader import Reader, _open
from pipeline.config import Settings
from schemas.tables import load_table
from sinks.store import Store


class FolderStore(Store):
    """Paths of a folder where a bucket has addresses; the key opens nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__("", "", "", access_key_id="none", secret_access_key="none")
        self._folder = folder

    def uri(self, key: str) -> str:
        return f"{self._folder}/{key}"


def append_rows(folder: Path, name: str, rows: pa.Table) -> None:
    """One commit of rows to a table of the lake; columns that they lack are not made."""
    path = folder / "lake" / name
    path.mkdir(parents=True, exist_ok=True)
    write_deltalake(path, rows, mode="append", partition_by=list(load_table(name).partition_by) or None)


@contextmanager
def folder_reader(folder: Path, settings: Settings, threads: int | None = None) -> Iterator[Reader]:
    """As people's SQL is asked: memory bounded, every table pinned, locked down."""
    with _open(settings, FolderStore(folder), threads) as reader:
        yield reader
