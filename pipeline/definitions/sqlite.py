"""The definitions database as a SQLite file: for its owner alone, several processes at once."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, event

from pipeline.config import Settings
from pipeline.folder_lock import locked_folder
from schemas.errors import UsageError

READS_ONLY = {"reads_only": True}
_BUSY_SECS_MAX = 15
LOCKED_WAY_OUT = (
    f"Another process has been changing it for more than {_BUSY_SECS_MAX} s; nothing was changed by this one. "
    "Do it again once that one is done; `fuser` and the file's path say which one it is."
)


def file_path(settings: Settings) -> Path:
    return settings.home.resolve() / "definitions.db"


@contextmanager
def creating(path: Path) -> Iterator[None]:
    """Makes the file when there is none, and lets one process at a time prepare it.

    SQLite's own locks do not cover the change to another journal, so the folder's lock does. Raises UsageError when it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The mode is the file's from the first moment; the files of the journal take it over. A file that is there is not opened: to close it
        # again would drop the locks that SQLite holds on it for other connections of this process, and another process could take its journal away.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); HEADWATER_HOME sets where state lies.") from None
    with locked_folder(path.parent):
        yield


def build_engine(path: Path) -> Engine:
    """An engine over the file; nothing is opened yet."""
    # Parameters of statements are not in errors or logs, whoever turns logging on.
    engine = sa.create_engine(URL.create("sqlite+pysqlite", database=str(path)), hide_parameters=True)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def is_locked(error: BaseException | None) -> bool:
    """Whether SQLite waited for another process in vain."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _prepare(opened: Any, _: object) -> None:
    # Transactions are begun by us: Python's own would begin too late, at the first write.
    opened.isolation_level = None
    cursor = opened.cursor()
    cursor.execute(f"pragma busy_timeout = {_BUSY_SECS_MAX * 1000}")
    cursor.execute("pragma foreign_keys = on")
    # Readers do not wait for a writer. The file remembers it, so this changes something in the very first connection only.
    cursor.execute("pragma journal_mode = wal")
    cursor.close()


def _begin(connection: Connection) -> None:
    # With the write lock from the start: a transaction that read and then writes would fail at once when another one wrote in between.
    is_reading = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("begin" if is_reading else "begin immediate")
