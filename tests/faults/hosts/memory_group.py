"""A control group of the kernel that gives the processes in it so much memory and no more: what goes beyond is killed, as in a container."""

import contextlib
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest


class _Version(NamedTuple):
    """Where groups of this version of the kernel's control groups are made, and what their files and figures are called."""

    root: Path
    limit: str
    anonymous: str


_VERSIONS = (
    _Version(Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "rss"),
    _Version(Path("/sys/fs/cgroup"), "memory.max", "anon"),
)


class MemoryGroup:
    """One group, which is `folder`."""

    def __init__(self, folder: Path, version: _Version) -> None:
        self._folder, self._version = folder, version

    def add(self, pid: int) -> None:
        """What this process allocates from now on counts."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    @property
    def anonymous_bytes(self) -> int:
        """What its processes have of their own: files that are mapped are not among it."""
        found = re.search(rf"^{self._version.anonymous} (\d+)$", (self._folder / "memory.stat").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])

    def limit(self, size_bytes: int) -> None:
        (self._folder / self._version.limit).write_text(str(size_bytes))


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """Such a group for the time of a `with` block; the test is skipped where none can be made."""
    version = next((one for one in _VERSIONS if one.root.is_dir()), _VERSIONS[-1])
    folder = version.root / f"headwater-{uuid.uuid4().hex[:8]}"
    try:
        if version.limit == "memory.max":
            # Groups have no memory to share out until their parent is told to.
            (version.root / "cgroup.subtree_control").write_text("+memory")
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group of memory can be made ({error}); run the tests as root, where {version.root} can be written")
    try:
        yield MemoryGroup(folder, version)
    finally:
        for _ in range(50):
            # A process that was just killed may still be in it.
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.1)
