"""Checks as `headwater check` and maintenance run them: severities, names, a check that fails in itself, rounds by the clock, metrics."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pipeline.ask.checks import CheckResult, State, choose_checks, list_checks, run_check
from pipeline.ask.reader import Reader, open_empty_reader
from pipeline.ask.views import View
from pipeline.config import load_settings
from pipeline.maintenance.check_metrics import CheckMetrics
from pipeline.maintenance.check_service import FIRST_SECS, CheckService, build_check_service
from schemas.errors import UnavailableError, UsageError
from tests.lake_rows import library

A, B, C = "checks.assert_events_are_fresh", "checks.assert_no_event_without_app", "checks.assert_rows_lie_in_their_day"
ROW = "select 1 as what from range(30)"


def lake(**wrong: str) -> Reader:
    """An empty lake; `wrong` are selects that stand in the place of checks A, B and C."""
    reader = open_empty_reader(load_settings(query_secs_max=5))
    for name, select in wrong.items():
        # Created first: what is created later would stand in the place of what is wrong.
        reader.columns(globals()[name])
        reader.con.execute(f"create or replace view {globals()[name]} as {select}")
    return reader


def named(*names: str) -> list[View]:
    return [check for check in list_checks(library().views) if check.name in names]


class Rig:
    """A service of three checks with a clock and a lake of the test."""

    def __init__(
        self,
        open_lake: Callable[[], Reader],
        secs: float = 3600,
        checks: Sequence[View] | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        self.now = 1000.0
        checks = named(A, B, C) if checks is None else checks
        self.service = CheckService(checks, secs, CheckMetrics(self.registry), open_lake, lambda: self.now, left_out or {})

    def run(self) -> list[CheckResult]:
        found = []
        while (result := self.service.run_next()) is not None:
            found.append(result)
        return found

    def value(self, metric: str, check: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"headwater_check_{metric}", {"check": check, **labels})


def test_rows_are_a_failure_or_a_warning_as_the_severity_says_and_are_all_counted() -> None:
    with lake(A=ROW, B=ROW) as reader:
        results = [run_check(reader, name) for name in (A, B, C)]
    assert [(one.state, one.is_ok, one.row_count, len(one.rows)) for one in results] == [
        (State.WARN, True, 30, 20),
        (State.FAIL, False, 30, 20),
        (State.OK, True, 0, 0),
    ]


def test_the_first_rows_are_the_same_in_each_run_in_order_of_their_columns() -> None:
    # 30 rows, of which (0, 'a'), (0, 'b'), (0, 'c'), (1, 'a') ... are the first, though they come from the back.
    backwards = "select (29 - range) // 3 as number, ['a', 'b', 'c'][(29 - range) % 3 + 1] as letter from range(30)"
    with lake(A=backwards) as reader:
        result = run_check(reader, A)
    assert result.rows == [{"number": number // 3, "letter": "abc"[number % 3]} for number in range(20)]


def test_a_check_that_fails_in_itself_says_why_and_the_next_one_runs() -> None:
    endless = "select count(*) as what from range(10000000000) as a, range(100) as b where a.range % 7 = b.range"
    with lake(A="select error('broken') as what", B=endless) as reader:
        # A check that runs too long is interrupted after HEADWATER_QUERY_SECS_MAX.
        reader._settings = load_settings(query_secs_max=0.2)
        results = [run_check(reader, name) for name in (A, B, C)]
    assert [(one.state, one.is_ok, one.row_count) for one in results] == [(State.ERROR, False, None)] * 2 + [(State.OK, True, 0)]
    assert ["broken" in str(results[0].error), "HEADWATER_QUERY_SECS_MAX" in str(results[1].error)] == [True, True]


def test_names_may_be_short_and_a_misspelt_one_names_the_nearest() -> None:
    views = library().views
    assert choose_checks(views, ["events_are_fresh", "assert_no_event_without_app", C]) == [A, B, C]
    assert len(choose_checks(views, [])) == len(list_checks(views))
    with pytest.raises(UsageError, match=r"Check 'events_are_flesh' is not there\. Did you mean 'events_are_fresh'\?"):
        choose_checks(views, ["events_are_flesh"])


def test_a_round_runs_when_it_is_due_and_says_what_it_found() -> None:
    rig = Rig(lambda: lake(A=ROW))
    assert rig.value("rows", A, severity="warn") == 0, "there before the first round, so that a rise is seen"
    rig.now += FIRST_SECS - 1
    assert rig.run() == []
    rig.now += 1
    assert [one.name for one in rig.run()] == [A, B, C]
    assert (rig.value("rows", A, severity="warn"), rig.value("rows", B, severity="fail")) == (30, 0)
    assert (rig.value("run_timestamp_seconds", A), rig.value("failures_total", A)) == (1060, 0)
    rig.now += 3599
    assert rig.run() == []
    rig.now += 1
    assert len(rig.run()) == 3


def test_a_check_that_could_not_be_run_is_counted_and_keeps_what_it_said(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(lambda: lake(B="select error('broken') as what"))
    rig.now += FIRST_SECS
    with caplog.at_level(logging.ERROR):
        assert [one.state for one in rig.run()] == [State.OK, State.ERROR, State.OK]
    assert [rig.value("failures_total", name) for name in (A, B, C)] == [0, 1, 0]
    assert (rig.value("run_timestamp_seconds", B), rig.value("run_timestamp_seconds", C)) == (0, 1060)
    assert f"Check '{B}' could not be run" in caplog.text


def test_a_lake_that_cannot_be_opened_counts_for_every_check() -> None:
    def away() -> Reader:
        raise UnavailableError("S3 does not answer.")

    rig = Rig(away)
    rig.now += FIRST_SECS
    assert rig.run() == []
    assert [rig.value("failures_total", name) for name in (A, B, C)] == [1, 1, 1]


def test_no_checks_run_when_they_are_off_or_the_process_ends() -> None:
    off = Rig(lake, secs=0)
    off.now += 10**6
    assert (off.run(), off.value("rows", A, severity="warn")) == ([], None)
    rig = Rig(lake)
    rig.now += FIRST_SECS
    assert rig.service.run_next() is not None
    rig.service.stop()
    assert rig.run() == []
    rig.service.close()


def test_a_check_of_ones_own_that_cannot_be_used_is_counted_as_not_run_and_the_others_run() -> None:
    rig = Rig(lake, checks=named(A, B), left_out={"checks.assert_mine": "mine.sql is no select", "kpis.mine": "neither is this"})
    assert rig.value("failures_total", "checks.assert_mine") == 0
    rig.now += FIRST_SECS
    assert [result.name for result in rig.run()] == [A, B]
    assert rig.value("failures_total", "checks.assert_mine") == 1
    assert rig.value("failures_total", "kpis.mine") is None


def test_a_check_whose_file_went_after_the_start_is_counted_as_not_run() -> None:
    rig = Rig(lake, checks=[replace(named(A)[0], name="checks.assert_mine"), *named(B)])
    rig.now += FIRST_SECS
    assert [result.name for result in rig.run()] == [B]
    assert rig.value("failures_total", "checks.assert_mine") == 1


def test_without_the_folder_of_ones_own_the_service_runs_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = build_check_service(load_settings(queries_folder=tmp_path / "none"), CheckMetrics(CollectorRegistry()))
    assert len(service._checks) == len(list_checks(library().views))
    assert "Only the checks of queries/ are run: HEADWATER_QUERIES_FOLDER is" in caplog.text
