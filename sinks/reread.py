"""Reading a table while maintenance is at it: a file that is gone was replaced by another."""

from collections.abc import Callable
from typing import TypeVar

from sinks.lake import LakeTable

ATTEMPTS = 4
T = TypeVar("T")


def read_again(table: LakeTable, read: Callable[[], T]) -> T:
    """What `read` gives of the table; read anew at a newer version when a file is gone: compaction put others in its place."""
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except FileNotFoundError:
            table.refresh()
    return read()
