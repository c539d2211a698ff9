"""Endpoint updates landed in a real lake for tests, as a worker lands them, and what the views say of them."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.land import Position
from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.maintenance.rules import MaintainRules
from pipeline.maintenance.run import Maintenance
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.endpoint_rows import as_updates
from tests.lake_rows import Row
from tests.maintained import SMALL, build

# A few updates are enough for a new snapshot.
FEW = dataclasses.replace(SMALL, endpoint_rows_min=3, files_max=50)


class EndpointLander:
    """Commits updates to the table endpoint_updates; `ends` is what Kafka would answer: as far as was appended, landed or not."""

    def __init__(self, settings: Settings) -> None:
        self.table = LakeTable(build_store(settings), load_table("endpoint_updates"))
        self.table.ensure()
        self.ends: dict[Position, int] = {}
        self.landed: list[Row] = []

    def append(self, rows: Sequence[Row]) -> None:
        """They are in Kafka, and have not landed."""
        for row in rows:
            position = Position(row["_topic_id"], row["_partition"])
            self.ends[position] = max(self.ends.get(position, 0), row["_offset"] + 1)

    def land(self, rows: Sequence[Row]) -> None:
        """One commit of these rows, with the transactions of a worker."""
        self.append(rows)
        wanted: dict[Position, int] = {}
        for row in rows:
            position = Position(row["_topic_id"], row["_partition"])
            wanted[position] = max(wanted.get(position, 0), row["_offset"] + 1)
        self.table.refresh()
        self.table.commit(
            self.table.upload(as_updates(rows)), {position.app_id("endpoint_updates"): end for position, end in wanted.items()}
        )
        self.landed += rows

    def ask(self) -> Mapping[Position, int]:
        return dict(self.ends)


def build_merging(
    settings: Settings, lander: EndpointLander, rules: MaintainRules = FEW, clock: Callable[[], float] = time.time
) -> Maintenance:
    """Maintenance of this lake, that asks the lander where Kafka's partitions end."""
    return dataclasses.replace(build(settings, rules, clock), ask_ends=lander.ask)


def seen(settings: Settings, view: str = "core.endpoints") -> list[dict[str, Any]]:
    """A view over the lake as `headwater sql` reads it, in its order."""
    with open_reader(settings) as reader, reader.ask(f"select * from {view} order by all") as cursor:
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
