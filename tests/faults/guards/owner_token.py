"""A commit carries the token of the partition's owner, and is refused to anybody else. Without this guard every worker believes to be the owner."""

from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import pipeline.worker
from agents.land import Landing
from sinks.lake import LakeTable, Upload


class TokenlessTable:
    """A table that keeps tokens to itself: they are never in its log, and whoever asks is the owner."""

    def __init__(self, table: LakeTable) -> None:
        self._table, self._tokens = table, dict[str, int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def committed(self, app_id: str) -> int | None:
        return self._tokens.get(app_id) if app_id.endswith("/owner") else self._table.committed(app_id)

    def commit(self, uploads: Sequence[Upload], transactions: Mapping[str, int], note: Mapping[str, Any] | None = None) -> None:
        self._tokens |= {app_id: token for app_id, token in transactions.items() if app_id.endswith("/owner")}
        self._table.commit(uploads, {app_id: one for app_id, one in transactions.items() if app_id not in self._tokens}, note)


class TokenlessLanding(Landing):
    """Lands by offsets alone."""

    def __init__(self, topic: str, events: Any, dead_letters: Any, *arguments: Any) -> None:
        super().__init__(topic, TokenlessTable(events), TokenlessTable(dead_letters), *arguments)


def remove() -> None:
    mock.patch.object(pipeline.worker, "Landing", TokenlessLanding).start()
