"""Checks over a lake of a few rows for tests: what each of them returns; and views that are made wrong, which is what some of them look for."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import duckdb

from pipeline.ask.checks import PREFIX, list_checks
from pipeline.config import Settings, load_settings
from tests.definitions_named import note_rows
from tests.lake_rows import Row, library, memory_lake

# Says how old the lake is by the clock of the machine; rows of tests are of a fixed day.
BY_CLOCK = "events_are_fresh"
# Read all charts or KPIs of the lake, which takes longer than all other checks: tests ask these by themselves.
OF_KPIS = (
    *("chart_counts_active_endpoints", "charted_uniques_lie_between_days", "charts_reach_the_endpoints_of_the_kpi"),
    *("charts_show_every_active_day", "kpis_count_every_send", "overview_agrees"),
)


def found(
    events: Sequence[Row] = (),
    wrong_views: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    asked: Collection[str] | None = None,
    **tables: Any,
) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by check of those that return any; `wrong_views` are selects over `{view}`, the view's own SQL, that stand in its place.

    Of the checks `asked`, by their names without `checks.assert_`; unless told otherwise of all but OF_KPIS.
    """
    views = {view.name: view for view in library().views}
    rows: dict[str, list[tuple[Any, ...]]] = {}
    with memory_lake(settings or load_settings(), events, **tables) as con:
        for name, select in (wrong_views or {}).items():
            con.execute(f"create or replace view {name} as {select.format(view=f'({views[name].sql})')}")
        for check in list_checks(library().views):
            name = check.name.removeprefix(PREFIX)
            if name in asked if asked is not None else name not in OF_KPIS:
                rows[name] = check_rows(con, name)
    return {name: each for name, each in rows.items() if each and name != BY_CLOCK}


def check_rows(con: duckdb.DuckDBPyConnection, check: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """The rows of one check, by its name without `checks.assert_`; that it returned some is noted."""
    rows = con.execute(f"select {columns} from {PREFIX}{check} order by all").fetchall()
    if rows:
        note_rows(f"{PREFIX}{check}")
    return rows
