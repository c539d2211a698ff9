"""`headwater retention` over a few events: numbers worked out by hand, the periods before, what is refused."""

import csv
import io
import json
import re

import pytest

from tests.answer_commands import Run, refusal, runner
from tests.lake_rows import at, event

DAYS = ("--from", "2026-11-10", "--to", "2026-11-12")
# Who did something on which days of November 2026. Of the 10th: a comes back on the 11th and 12th, b on the 12th, c never. Of the 11th: d comes back on the 12th.
# The three days before, the 7th to the 9th: x and y begin on the 7th, x comes back on the 8th.
SEEN = {"a": (10, 11, 12), "b": (10, 12), "c": (10,), "d": (11, 12), "x": (7, 8), "y": (7,)}
EVENTS = [event(endpoint_id=who, event_timestamp=at(days=day - 23)) for who, days in SEEN.items() for day in days]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(monkeypatch, EVENTS)


def test_cohorts_are_told_with_the_days_before_and_the_definition(run: Run) -> None:
    said = json.loads(run("retention", *DAYS, "--json").stdout)
    figures = {figure["name"]: (figure["value"], figure["before"]) for figure in said["figures"]}
    # A day later: a of three, d of one: 2 of 4. Before: x of two.
    assert figures["came back 1 day later"] == (0.5, 0.5)
    assert figures["endpoints that started"] == (4, 2)
    # The four have all had a whole day after theirs, and two were back in it.
    assert figures["of them, with the next day over"] == (4, 2)
    assert figures["of these, came back in it"] == (2, 1)
    # Nobody has been looked at for seven days.
    assert figures["came back 7 days later"] == (None, None)
    assert said["before"] == {"from": "2026-11-07", "to": "2026-11-09"}
    found = [(row["cohort_date"], row["period_no"], row["cohort_size"], row["returned_count"]) for row in said["rows"]]
    assert found == [
        ("2026-11-10", 0, 3, 3),
        ("2026-11-10", 1, 3, 1),
        ("2026-11-10", 2, 3, 2),
        ("2026-11-11", 0, 1, 1),
        ("2026-11-11", 1, 1, 1),
    ]
    assert said["definition"]["denominator"].startswith("endpoints of the cohort")


def test_text_shows_the_cohorts_as_a_grid_without_colours(run: Run) -> None:
    text = run("retention", *DAYS).stdout
    assert "\x1b" not in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "came back 1 day later 50.0 % 50.0 % +0.0 points" in lines
    assert "2026-11-10 (3) 100 % 33 % 67 %" in lines
    assert "2026-11-11 (1) 100 % 100 %" in lines
    assert "all, complete only 100 % 50 % 67 %" in lines


def test_week_that_is_cut_is_marked_and_counts_for_no_share(run: Run) -> None:
    # The weeks from Monday the 2nd (x, y) and from Monday the 9th (a to d); the second ends with the 15th, after the last day.
    said = json.loads(run("retention", "--from", "2026-11-02", "--to", "2026-11-12", "--period", "week", "--json").stdout)
    assert [(row["cohort_date"], row["period_no"], row["is_complete"]) for row in said["rows"]] == [
        ("2026-11-02", 0, True),
        ("2026-11-02", 1, False),
        ("2026-11-09", 0, False),
    ]
    assert said["figures"][0]["value"] is None
    # As many weeks before, cut off at the same place.
    assert said["before"] == {"from": "2026-10-19", "to": "2026-10-29"}
    assert "0 %*" in run("retention", "--from", "2026-11-02", "--to", "2026-11-12", "--period", "week").stdout


def test_days_before_that_are_not_known_make_no_change(run: Run) -> None:
    # The lake begins with the 7th.
    said = json.loads(run("retention", "--from", "2026-11-07", "--to", "2026-11-09", "--json").stdout)
    assert [figure["change"] for figure in said["figures"]] == [None] * len(said["figures"])
    assert said["notes"] == ["Events are known from 2026-11-07 on, none of the 3 days before: no change is told."]


@pytest.mark.parametrize(
    ("period", "first", "said"),
    [
        ("week", "2026-11-11", ["The first week counts whole, from 2026-11-09 on."]),
        ("week", "2026-11-09", []),
        ("month", "2026-11-02", ["The first month counts whole, from 2026-11-01 on."]),
        ("month", "2026-11-01", []),
        ("day", "2026-11-11", []),
    ],
)
def test_first_period_that_counts_whole_is_said(run: Run, period: str, first: str, said: list[str]) -> None:
    answer = json.loads(run("retention", "--from", first, "--to", "2026-11-12", "--period", period, "--json").stdout)
    assert [note for note in answer["notes"] if "whole" in note] == said
    # a, b and c began on the 10th, a day before the first that was asked for.
    assert ("2026-11-09" if period == "week" else "2026-11-01" if period == "month" else "2026-11-11") == answer["rows"][0]["cohort_date"]


def test_start_and_return_may_be_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [*EVENTS, event(endpoint_id="b", event_type="buy", event_timestamp=at(1, days=-12))]
    said = json.loads(runner(monkeypatch, events)("retention", *DAYS, "--start", "screen.view", "--return", "buy", "--json").stdout)
    assert [(row["period_no"], row["returned_count"]) for row in said["rows"] if row["cohort_date"] == "2026-11-10"] == [
        (0, 0),
        (1, 1),
        (2, 0),
    ]


def test_event_type_that_has_never_come_is_said_with_the_nearest(run: Run) -> None:
    for option, given in (("--start", "screen.veiw"), ("--return", "screen.veiw[name=x]")):
        notes = json.loads(run("retention", *DAYS, option, given, "--json").stdout)["notes"]
        assert notes == ["No event of type 'screen.veiw' has come, on whatever day; the nearest types are screen.view."]
    assert json.loads(run("retention", *DAYS, "--start", "screen.view", "--json").stdout)["notes"] == []


def test_csv_has_a_row_for_each_cohort_and_period(run: Run) -> None:
    found = list(csv.DictReader(io.StringIO(run("retention", *DAYS, "--csv").stdout)))
    assert (len(found), found[1]["cohort_date"], found[1]["rate"][:6]) == (5, "2026-11-10", "0.3333")


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_empty_lake_gives_zeros_and_an_empty_grid(monkeypatch: pytest.MonkeyPatch, period: str) -> None:
    run = runner(monkeypatch, [])
    result = run("retention", *DAYS, "--period", period, "--app", "shop")
    assert (result.exit_code, "endpoints that started" in result.stdout) == (0, True)
    assert json.loads(run("retention", *DAYS, "--period", period, "--json").stdout)["rows"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--period", "fortnight"), "^Option '--period' is 'fortnight'; expected one of day, week, month"),
        (("--kind", "rolling"), "^Option '--kind' is 'rolling'; expected one of first_time, recurring"),
        (("--subject", "people"), "^Option '--subject' is 'people'; expected one of endpoint, user"),
        (("--start", "buy]"), r"Step 'buy\]' cannot be read"),
        (("--start", "screen.view[screen=x]"), "^Option '--start' is .*; no event screen.view has the attribute 'screen'"),
        (("--return", "screen.view[screen=x]"), "^Option '--return' is .*; no event screen.view has the attribute 'screen'"),
        (("--app", "shops"), "'--app' is 'shops', which has no events; expected an app that has. Did you mean 'shop'"),
    ],
)
def test_wrong_question_says_what_was_expected(run: Run, arguments: tuple[str, ...], message: str) -> None:
    assert re.search(message, refusal(run("retention", *DAYS, *arguments)))
