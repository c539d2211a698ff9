"""A disk of a few megabytes, in memory, that a test fills and frees."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """Mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave not a byte."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
        assert os.statvfs(self.folder).f_bavail == 0

    def free(self) -> None:
        """Make the room again."""
        self._ballast.unlink()

    @property
    def is_full(self) -> bool:
        try:
            (self.folder / "probe").write_bytes(b"\0" * 4096)
        except OSError:
            return True
        finally:
            (self.folder / "probe").unlink(missing_ok=True)
        return False


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Such a disk for the time of a `with` block; the test is skipped where nothing can be mounted."""
    folder.mkdir(parents=True)
    said = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if said.returncode:
        pytest.skip(f"a small disk cannot be mounted ({said.stderr.strip()}); run the tests as root, in a container that may mount")
    try:
        yield SmallDisk(folder)
    finally:
        # Files that have no name any more may still be open in a process that was just killed.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
