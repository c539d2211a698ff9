"""How far each partition of raw-events has landed, as the lake says it: asked from outside, again and again."""

from pipeline.config import Settings
from pipeline.stores import build_store
from pipeline.topic_ids import find_topic
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.stream import raw_events


class LandedOffsets:
    """Keeps the table open, since a worker beside it needs the time."""

    def __init__(self, settings: Settings) -> None:
        self._table = LakeTable(build_store(settings), load_table("events"))
        self._is_there = False
        self._prefix = f"events/{find_topic(settings, raw_events(settings)).topic_id}/"

    def read(self) -> dict[int, int]:
        """The offset that each partition wants next; nothing of one that nobody has taken over yet."""
        self._is_there = self._is_there or self._table.exists()
        if not self._is_there:
            return {}
        self._table.refresh()
        found = {app_id.removeprefix(self._prefix): version for app_id, version in self._table.transactions().items()}
        return {int(partition): version for partition, version in found.items() if partition.isdigit()}
