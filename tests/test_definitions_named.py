"""What holds all tests to the library: a view, a macro or a check that no test brought to speak is named."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.ask.checks import PREFIX
from pipeline.config import load_settings
from tests import definitions_named
from tests.definitions_named import EveryDefinition
from tests.lake_rows import event, library, memory_lake
from tests.macro_values import value

CHECKS = [name for name in library().definitions if name.startswith(PREFIX)]
OTHERS = [name for name in library().definitions if name not in CHECKS]


def report(named: list[str], returned: list[str], outcome: str = "passed") -> pytest.TestReport:
    given: Any = [("row", "1"), ("definitions", [named, returned])]
    return cast(pytest.TestReport, SimpleNamespace(when="call", passed=outcome == "passed", user_properties=given))


def problems(*reports: pytest.TestReport) -> list[str]:
    held = EveryDefinition(library())
    for one in reports:
        held.pytest_runtest_logreport(one)
    return held.problems


def test_nothing_is_missing_when_tests_of_all_processes_named_everything_together() -> None:
    assert problems(report(OTHERS[::2], CHECKS), report(OTHERS[1::2], [])) == []


def test_what_no_test_named_is_missing_and_so_is_what_only_a_test_that_failed_named() -> None:
    rest = [name for name in OTHERS if name not in ("core.users", "lift")]
    assert problems(report(rest, CHECKS), report(["core.users", "lift"], [], "failed")) == [
        "views and macros that said something in no SQL of a test: core.users, lift"
    ]


def test_a_check_that_was_asked_and_returned_nothing_is_missing() -> None:
    rest = [name for name in CHECKS if name != "checks.assert_revenue_agrees"]
    assert problems(report([*OTHERS, *CHECKS], rest)) == ["checks that returned rows in no test: checks.assert_revenue_agrees"]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    names: set[str] = set()
    monkeypatch.setattr(definitions_named, "_named", names)
    return names


def test_names_that_sql_of_a_lake_reads_and_calls_are_noted_and_not_what_stands_beneath_them(named: set[str]) -> None:
    with memory_lake(load_settings(), [event()]) as con:
        con.execute("select rate(count(*), 2) from core.endpoint_days").fetchall()
        # Everything is created for it, and nothing of it is asked.
        con.execute("create view core.mine as from core.users")
    value("local_hour(timestamptz '2026-11-23 12:00:00+00', 'UTC')")
    assert named & library().definitions.keys() == {"rate", "core.endpoint_days", "local_hour"}


@pytest.mark.parametrize("sql", ["from core.sessions", "select count(*), max(started_at) from core.sessions"])
def test_what_says_nothing_over_an_empty_lake_is_not_noted_and_over_an_event_it_is(named: set[str], sql: str) -> None:
    with memory_lake(load_settings()) as con:
        con.execute(sql).fetchall()
    assert named == set()
    with memory_lake(load_settings(), [event()]) as con:
        # Asked and not looked at.
        con.execute(sql)
        assert named == set()
        con.execute(sql).fetchone()
    assert named & library().definitions.keys() == {"core.sessions"}


@pytest.mark.parametrize("fetch", ["fetchall", "fetchone", "fetchmany", "to_arrow_table"])
def test_rows_are_noted_however_they_are_fetched(named: set[str], fetch: str) -> None:
    with memory_lake(load_settings(), [event()]) as con:
        getattr(con.execute("from core.sessions"), fetch)()
    assert "core.sessions" in named
