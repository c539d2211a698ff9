"""How far an import has come, on disk: rows that Kafka acknowledged without a gap, and a lock that keeps a second import out."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from pipeline.imports.rows import BusyFileError
from schemas.errors import UsageError


@dataclass(frozen=True)
class Progress:
    """What the ledger file of an unfinished import holds.

    `id_base` is the hash in the ids of id-less rows: the file's own, or that of a shorter copy that this file goes on from.
    `size` is the size of the file that it was written for; `acknowledged_through` the last row of those without a gap.
    """

    content_hash: str
    id_base: str
    file: str
    size: int
    mapping: str | None
    app_id: str | None
    identical_policy: str
    acknowledged_through: int
    updated_at: str


class Acknowledgements:
    """Rows that are done with (acknowledged, rejected or left out), in any order; `through` is the last one without a gap, `start` the one that it began at.
    `acknowledged` counts those that Kafka has, in this run or before.
    """

    def __init__(self, through: int) -> None:
        self.start = self.through = through
        self.acknowledged = 0
        self._ahead: set[int] = set()
        self._stop: int | None = None

    def stop_before(self, number: int) -> None:
        """Count no row from this one on: a longer copy of the file may have other rows there."""
        self._stop = number if self._stop is None else min(self._stop, number)

    def add(self, number: int) -> None:
        if self._stop is not None and number >= self._stop:
            return
        if number == self.through + 1:
            self.through = number
            while self.through + 1 in self._ahead:
                self.through += 1
                self._ahead.remove(self.through)
        elif number > self.through:
            self._ahead.add(number)


class Ledger:
    """Ledger and lock of one content hash, under `<home>/imports/`. Use it as a context manager: it holds the lock."""

    def __init__(self, folder: Path, content_hash: str) -> None:
        self._folder, self._content_hash = folder, content_hash
        self._path = folder / f"{content_hash}.json"
        self._lock: IO[str] | None = None

    def __enter__(self) -> "Ledger":
        """Raises BusyFileError when another process imports the same content."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / f"{self._content_hash}.lock").open("a+")
        except OSError as error:
            raise UsageError(f"Folder '{self._folder}' cannot be written ({error}); HEADWATER_HOME sets where state lies.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise BusyFileError(
                f"The same content is being imported by process {holder or 'of another user'} (lock {lock.name}); wait until it ends."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def read(self) -> Progress | None:
        """What an import that did not finish left behind, None when there was none."""
        return _read(self._path)

    def write(self, progress: Progress) -> None:
        """Replace the ledger at once: a process killed here leaves the old one or the new one."""
        beside = self._path.with_suffix(".json.new")
        with beside.open("w") as file:
            json.dump(asdict(progress), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def remove(self) -> None:
        """The import is finished: the lake's table remembers it from now on."""
        self._path.unlink(missing_ok=True)
        (self._folder / f"{self._content_hash}.lock").unlink(missing_ok=True)


def unfinished(folder: Path) -> list[Progress]:
    """Ledgers of imports that did not finish, their files perhaps cut off: a longer copy goes on where they stopped."""
    return [found for path in sorted(folder.glob("*.json")) if (found := _read(path)) is not None]


def _read(path: Path) -> Progress | None:
    try:
        return Progress(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"Ledger '{path}' cannot be read ({error}); remove it to import that file from its first row "
            "(what is sent again within the dedup window lands once)."
        ) from None
