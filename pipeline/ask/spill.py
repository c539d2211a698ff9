"""The temporary folder of one process: what does not fit in memory lies there, and is gone afterwards, even after a kill."""

import fcntl
import shutil
import tempfile
from pathlib import Path
from typing import IO

PREFIX = "headwater-sql-"


class SpillFolder:
    """A folder that this process alone uses, in the system's folder of temporary files or in `within`, which is made.

    It is held by a lock, which ends with the process however that ends.
    """

    def __init__(self, within: Path | None = None) -> None:
        folder = within or Path(tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        self.path, self._lock = _make_folder(folder)
        while not self.path.exists():
            # Another process took it for abandoned in the moment before it was locked.
            self._lock.close()
            self.path, self._lock = _make_folder(folder)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _make_folder(folder: Path) -> tuple[Path, IO[str]]:
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
    lock = (path / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return path, lock


def _remove_abandoned(folder: Path) -> None:
    """Remove folders whose process was killed: those whose lock nobody holds."""
    for lock_file in folder.glob(f"{PREFIX}*/lock"):
        try:
            with lock_file.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock_file.parent, ignore_errors=True)
        except OSError:
            continue  # It is in use, somebody else's, or gone by now.
