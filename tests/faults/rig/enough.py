"""The pytest plugin by which a run of all tests fails when a row of the list was struck too seldom: a schedule that injects nothing passes by itself."""

from collections import Counter
from typing import Any

import pytest

from tests.faults.report import INJECTIONS_MIN
from tests.faults.rows import EXCUSED, ROWS


class EnoughInjections:
    """Adds up what the rows' tests injected; controls do not count."""

    def __init__(self) -> None:
        self._injections: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties: dict[str, Any] = dict(report.user_properties)
        if report.when == "call" and report.passed and "row" in properties and not properties["is_control"]:
            self._injections[properties["row"]] += properties.get("proof", {}).get("injections", 0)

    @property
    def problem(self) -> str:
        few = [
            f"{row.number}: {found}"
            for row in ROWS
            if row.number not in EXCUSED and (found := self._injections[row.number]) < INJECTIONS_MIN
        ]
        return f"rows with fewer than {INJECTIONS_MIN} injections: {', '.join(few)}" if few else ""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == pytest.ExitCode.OK and self.problem:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.problem:
            terminalreporter.write_line(self.problem, red=True)
