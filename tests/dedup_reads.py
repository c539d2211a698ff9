"""What a cold dedup window reads, counted."""

from typing import Any

import pytest

import agents.dedup.snapshot
import agents.dedup.windows
from agents.dedup.windows import Windows


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Rows that windows take from the events and keys that they take from the snapshot."""
    counts = {"events": 0, "keys": 0}
    scan, read = Windows._scan, agents.dedup.snapshot.read_snapshot

    def counted_scan(self: Windows, is_wanted: Any) -> Any:
        for rows in scan(self, is_wanted):
            counts["events"] += rows.num_rows
            yield rows

    def counted_read(*arguments: Any) -> Any:
        for keys in read(*arguments):
            counts["keys"] += len(keys.ids)
            yield keys

    monkeypatch.setattr(Windows, "_scan", counted_scan)
    monkeypatch.setattr(agents.dedup.windows, "read_snapshot", counted_read)
    return counts
