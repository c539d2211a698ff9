"""Lakes whose events are replaced, for tests that ask of many examples: to make a lake takes longer than to ask it."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import duckdb

from pipeline.ask.layers import LAKE
from pipeline.config import load_settings
from schemas.tables import load_table
from tests.lake_rows import Row, as_arrow, memory_lake


class Lakes:
    """A lake for each zone, made once and closed with `stack`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._open: dict[str, duckdb.DuckDBPyConnection] = {}

    def ask(self, sql: str, events: Sequence[Row], zone: str = "UTC") -> list[tuple[Any, ...]]:
        """The rows of a query over these events of an app of this zone."""
        if zone not in self._open:
            self._open[zone] = self._stack.enter_context(memory_lake(load_settings(app_zones={"shop": zone})))
        con = self._open[zone]
        con.execute(f"delete from {LAKE}.events")
        con.register("given", as_arrow(load_table("events"), events))
        con.execute(f"insert into {LAKE}.events from given")
        con.unregister("given")
        return con.execute(sql).fetchall()
