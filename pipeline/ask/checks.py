"""The checks: every view of checks/ is run; one that returns rows says that something is wrong, and its rows say what."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipeline.ask.layers import CHECK_PREFIX
from pipeline.ask.nearest import hint
from pipeline.ask.reader import Reader
from pipeline.ask.sql_checker import NO_REASONS
from pipeline.ask.views import Severity, View
from schemas.errors import HeadwaterError, UsageError

ROWS_KEPT = 20
PREFIX = f"checks.{CHECK_PREFIX}"


class State(StrEnum):
    """What came of a check."""

    OK = "ok"
    WARN = "warn"  # rows, severity warn
    FAIL = "fail"  # rows, severity fail
    ERROR = "error"  # it could not be run: nobody knows


@dataclass(frozen=True)
class CheckResult:
    """What a check found: `rows` are its first rows, by column; `row_count` all of them, None when it could not be run and `error` says why."""

    name: str
    grain: str
    severity: Severity
    secs: float
    row_count: int | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None

    @property
    def state(self) -> State:
        if self.row_count is None:
            return State.ERROR
        if self.row_count == 0:
            return State.OK
        return State.WARN if self.severity is Severity.WARN else State.FAIL

    @property
    def is_ok(self) -> bool:
        """Whether it lets `headwater check` end with 0: warnings do."""
        return self.state in (State.OK, State.WARN)


def run_check(reader: Reader, name: str) -> CheckResult:
    """Run one check, `checks.assert_...`, once: all its rows are counted, the first are kept, in order of their columns.

    One that needs more time or memory than there is, or fails in itself, has no rows but an error; the others are not touched by that.
    """
    (view,) = [view for view in list_checks(reader.views) if view.name == name]
    severity = view.severity
    assert severity is not None
    began = time.monotonic()
    try:
        columns = [column for column, _ in reader.columns(name)]
        rows = reader.rows(f"select *, count(*) over () from {name} order by all limit {ROWS_KEPT}")
    except HeadwaterError as error:
        return CheckResult(name, view.grain, severity, time.monotonic() - began, None, error=str(error))
    return CheckResult(
        name=name,
        grain=view.grain,
        severity=severity,
        secs=time.monotonic() - began,
        row_count=rows[0][-1] if rows else 0,
        rows=[dict(zip(columns, row[:-1], strict=True)) for row in rows],
    )


def list_checks(views: Sequence[View]) -> list[View]:
    """All checks in order of name."""
    return sorted((view for view in views if view.severity is not None), key=lambda view: view.name)


def left_out_checks(left_out: Mapping[str, str]) -> list[CheckResult]:
    """Checks of one's own whose files cannot be used: each is one that could not be run."""
    names = sorted(name for name in left_out if name.startswith("checks."))
    return [CheckResult(name, "", Severity.FAIL, 0.0, None, error=left_out[name]) for name in names]


def choose_checks(views: Sequence[View], wanted: Sequence[str], left_out: Mapping[str, str] = NO_REASONS) -> list[str]:
    """Names of the checks that are wanted, in order; all when none is named. `checks.` and `assert_` may be left out.

    Raises UsageError for a name that is none, with the nearest, and for a check that is left out, with the reason.
    """
    names = [view.name for view in list_checks(views)]
    chosen = set()
    for text in wanted:
        name = PREFIX + text.removeprefix("checks.").removeprefix(CHECK_PREFIX)
        if name in left_out:
            raise UsageError(f"Check '{text}' is left out: {left_out[name]}")
        if name not in names:
            near = hint(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in names], cutoff=0.3)
            raise UsageError(f"Check '{text}' is not there.{near} 'headwater check' without '--only' runs all and lists them.")
        chosen.add(name)
    return [name for name in names if name in chosen or not wanted]
