"""Commits whose outcome is unknown: no answer came, or an error, or they were refused. The next look at the table says whether they are in it.

A refusal too: delta-rs' own client sends a commit again whose answer was lost, is told that this version exists, tries the next one, and is
refused because the transactions are in the table already: its own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol


class RefreshedTable(Protocol):
    """What is asked of a table once it was looked at."""

    name: str

    def committed(self, app_id: str) -> int | None: ...


class Doubts:
    """Counts them, for metrics; what is landed and what is tried again is decided without it.

    `met` is by table; `resolved` by table and whether the commit was found there. Whoever reports them takes them by `take`.
    """

    def __init__(self) -> None:
        self._met = Counter[str]()
        self._resolved = Counter[tuple[str, bool]]()
        self._open: list[tuple[str, Mapping[str, int]]] = []

    @contextmanager
    def watch(self, table: str, transactions: Mapping[str, int]) -> Iterator[None]:
        """Around a commit with these transactions."""
        try:
            yield
        except Exception:
            self._met[table] += 1
            self._open.append((table, transactions))
            raise

    def resolve(self, table: RefreshedTable) -> None:
        """What this table, as of its last refresh, says of commits to it."""
        for doubt in [doubt for doubt in self._open if doubt[0] == table.name]:
            is_found = all(table.committed(app_id) == version for app_id, version in doubt[1].items())
            self._resolved[table.name, is_found] += 1
            self._open.remove(doubt)

    def take(self) -> tuple[Counter[str], Counter[tuple[str, bool]]]:
        """(met, resolved) since they were taken last."""
        taken = self._met, self._resolved
        self._met, self._resolved = Counter(), Counter()
        return taken
