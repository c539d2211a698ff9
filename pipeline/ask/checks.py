"""The checks: every view of checks/ is run; one that returns rows has failed, and its rows say what is wrong."""

from dataclasses import dataclass
from typing import Any

from pipeline.ask.reader import Reader

ROWS_KEPT = 20


@dataclass(frozen=True)
class CheckResult:
    """What a check found: `rows` are its first rows, by column; `row_count` all of them."""

    name: str
    grain: str
    row_count: int
    rows: list[dict[str, Any]]

    @property
    def is_ok(self) -> bool:
        return self.row_count == 0


def run_check(reader: Reader, name: str) -> CheckResult:
    """Run one check, `checks.assert_...`, once: all its rows are counted, the first are kept."""
    (view,) = [view for view in reader.views if view.name == name]
    columns = [column for column, _ in reader.columns(name)]
    rows = reader.rows(f"select *, count(*) over () from {name} limit {ROWS_KEPT}")
    return CheckResult(
        name=name,
        grain=view.grain,
        row_count=rows[0][-1] if rows else 0,
        rows=[dict(zip(columns, row[:-1], strict=True)) for row in rows],
    )


def check_names(reader: Reader) -> list[str]:
    """All checks in order of name."""
    return sorted(view.name for view in reader.views if view.layer == "checks")
