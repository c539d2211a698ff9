"""The pytest plugin by which a run of all tests fails when a view or macro is in no SQL that returned something to a test, or a check returned rows to none.

What runs SQL for tests notes it here; each test hands its notes on with its report, through pytest-xdist too, and those of tests that passed count.
"""

from collections.abc import Generator, Iterable
from typing import Any

import pytest

from pipeline.ask.checks import PREFIX
from pipeline.ask.library import Library, load_library
from tests.faults.rig.proof import is_of_all_tests

_PROPERTY = "definitions"
_named: set[str] = set()
_returned: set[str] = set()


def note_names(names: Iterable[str]) -> None:
    """SQL that names these returned something: rows, and not of nulls and zeros alone; what is no view and no macro is passed over later."""
    _named.update(names)


def note_rows(check: str) -> None:
    """A check, `checks.assert_...`, returned rows."""
    _returned.add(check)


class Noting:
    """In each process: what a test noted, its fixtures before it too, goes with its report."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        try:
            return (yield)
        finally:
            item.user_properties.append((_PROPERTY, [sorted(_named), sorted(_returned)]))
            _named.clear()
            _returned.clear()


class EveryDefinition:
    """In the first process: adds up what tests that passed noted, and says what is missing."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._named: set[str] = set()
        self._returned: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties: dict[str, Any] = dict(report.user_properties)
        if report.when == "call" and report.passed and _PROPERTY in properties:
            named, returned = properties[_PROPERTY]
            self._named.update(named)
            self._returned.update(returned)

    @property
    def problems(self) -> list[str]:
        # What is only asked proves nothing: it may never return a row.
        checks = {name for name in self._library.definitions if name.startswith(PREFIX)}
        unnamed = sorted(self._library.definitions.keys() - checks - self._named)
        silent = sorted(checks - self._returned)
        found = [f"views and macros that said something in no SQL of a test: {', '.join(unnamed)}"] if unnamed else []
        return found + ([f"checks that returned rows in no test: {', '.join(silent)}"] if silent else [])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == pytest.ExitCode.OK and self.problems:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for problem in self.problems:
            terminalreporter.write_line(problem, red=True)


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-definition", action="store_true", help="hold these tests to bringing every view and macro to speak, as all tests are held"
    )


def configure(config: pytest.Config) -> None:
    """Note in every process, hold in the first one."""
    config.pluginmanager.register(Noting())
    is_held = is_of_all_tests(config) or config.getoption("every_definition")
    if is_held and not hasattr(config, "workerinput"):
        config.pluginmanager.register(EveryDefinition(load_library()))
