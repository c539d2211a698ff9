"""The last lines of a process of the local stack."""

from collections import deque
from pathlib import Path


def last_lines(file: Path, count: int) -> list[str]:
    """The last `count` lines; [] when the file is not there."""
    if not file.exists():
        return []
    with file.open(errors="replace") as lines:
        return [line.rstrip("\n") for line in deque(lines, maxlen=count)]
