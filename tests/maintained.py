"""A lake under maintenance for tests: events landed as a worker lands them, maintenance wired with rules of the test, and what is in the end."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from prometheus_client import CollectorRegistry

from agents.land import Position
from pipeline.config import Settings
from pipeline.maintenance.metrics import MaintenanceMetrics
from pipeline.maintenance.rules import MaintainRules
from pipeline.maintenance.run import Maintenance, TableReport, build_maintenance
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.lake_rows import as_arrow, event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOPIC_ID = "topic-1"
# So that a few small files are many: compacted at four, whole at 40 kB.
SMALL = MaintainRules(file_bytes_target=40_000, files_max=4, checkpoint_commits=5, stretch_bytes=30_000, log_retention_secs=3600)
Row = tuple[str, str, int, int]


class Lander:
    """Lands events in the table, with the transactions of a worker; each row has an id and an offset of its own."""

    def __init__(self, settings: Settings, seed: int = 1) -> None:
        self.table = LakeTable(build_store(settings), load_table("events"))
        self.table.ensure()
        self.offsets: Counter[Position] = Counter()
        self.landed: Counter[Row] = Counter()
        self._chance = random.Random(seed)

    def land(self, count: int, moment: datetime = NOON, partitions: int = 1, topic_id: str = TOPIC_ID) -> None:
        """One commit of so many events, appended at `moment`, over these partitions."""
        rows = [self.make_row(moment + timedelta(milliseconds=number), Position(topic_id, number % partitions)) for number in range(count)]
        self.commit(rows)

    def commit(self, rows: Sequence[dict[str, Any]]) -> None:
        self.table.refresh()
        uploads = self.table.upload(as_arrow(load_table("events"), rows))
        transactions = {position.app_id("events"): offset for position, offset in self.offsets.items()}
        self.table.commit(uploads, transactions)
        self.landed.update((row["_topic_id"], row["event_id"], row["_partition"], row["_offset"]) for row in rows)

    def make_row(self, moment: datetime, position: Position) -> dict[str, Any]:
        """The next row of a partition; to be committed next."""
        offset = self.offsets[position]
        self.offsets[position] += 1
        return event(
            event_id=f"event-{position.topic_id}-{position.partition}-{offset}",
            endpoint_id=f"phone-{self._chance.randrange(40)}",
            event_type=self._chance.choice(["screen.view", "cart.add", "_session.start"]),
            event_timestamp=moment,
            attributes={"screen": self._chance.choice(["home", "cart"])},
            _topic_id=position.topic_id,
            _partition=position.partition,
            _offset=offset,
            _appended_at=moment,
        )


def build(settings: Settings, rules: MaintainRules = SMALL, clock: Callable[[], float] = time.time) -> Maintenance:
    """Maintenance of this test's lake. delta-rs has a clock of its own, so a clock of the test starts at the machine's."""
    return build_maintenance(settings, MaintenanceMetrics(CollectorRegistry()), rules, clock)


def run(maintenance: Maintenance) -> dict[str, TableReport]:
    """One whole run; its reports by table."""
    reports: list[TableReport] = []
    for _ in maintenance.run(reports):
        pass
    return {report["table"]: report for report in reports}


def run_until(steps: Any, wanted: str) -> None:
    """Go on to the step of this name, which is not done yet."""
    for step in steps:
        if step == wanted:
            return
    raise AssertionError(f"the run has no step '{wanted}'")


def rows_of(settings: Settings, name: str = "events") -> Counter[Row]:
    """Every row of the table, by what tells it apart."""
    found = open_table(settings, name).dataset().to_table(columns=["_topic_id", "event_id", "_partition", "_offset"])
    return Counter(zip(*(column.to_pylist() for column in found.columns), strict=True))


def open_table(settings: Settings, name: str = "events") -> LakeTable:
    table = LakeTable(build_store(settings), load_table(name))
    table.refresh()
    return table


def paths_of(settings: Settings, name: str = "events") -> list[str]:
    """Paths of the files that the newest version names."""
    found: list[str] = pa.table(open_table(settings, name)._delta().get_add_actions(flatten=True))["path"].to_pylist()
    return found
