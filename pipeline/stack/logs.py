"""The logs of the local stack: one file for each process, under HEADWATER_HOME/logs."""

from collections import deque
from pathlib import Path

from pipeline.config import Settings
from schemas.errors import UsageError


def find_logs(settings: Settings, name: str = "") -> dict[str, Path]:
    """Process -> its log file; of one process, or with '' of all.

    Raises UsageError when there is no such log.
    """
    found = {file.stem: file for file in sorted((settings.home / "logs").glob("*.log"))}
    if not found:
        raise UsageError(f"There are no logs under '{settings.home / 'logs'}': no stack was started there. Start one with 'headwater up'.")
    if name and name not in found:
        raise UsageError(f"Process '{name}' has no log under '{settings.home / 'logs'}'; expected one of {', '.join(found)}.")
    return {name: found[name]} if name else found


def last_lines(file: Path, count: int) -> list[str]:
    """The last `count` lines; [] when the file is not there."""
    if not file.exists():
        return []
    with file.open(errors="replace") as lines:
        return [line.rstrip("\n") for line in deque(lines, maxlen=count)]
