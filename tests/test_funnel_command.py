"""`headwater funnel` over a few events: numbers worked out by hand, the days before, what is refused."""

import csv
import datetime as dt
import io
import json
import re

import pytest

from pipeline.answers.days import Days
from pipeline.answers.funnel_question import FunnelAsked, ask_funnel
from pipeline.config import load_settings
from tests.answer_commands import Run, memory_reader, refusal, runner
from tests.lake_rows import at, event

DAYS = ("--from", "2026-11-23", "--to", "2026-11-23")
# Noon of the 23rd: a, b and c look; a buys 10 minutes later, b exactly an hour later, c a millisecond after that. The day before: d looks, e looks and buys.
EVENTS = [
    *(event(endpoint_id=who, event_type="look", attributes={"color": color}) for who, color in (("a", "red"), ("b", "red"), ("c", "blue"))),
    event(endpoint_id="a", event_type="buy", event_timestamp=at(10)),
    event(endpoint_id="b", event_type="buy", event_timestamp=at(60)),
    event(endpoint_id="c", event_type="buy", event_timestamp=at(60, millis=1)),
    *(event(endpoint_id=who, event_type="look", event_timestamp=at(days=-1)) for who in "de"),
    event(endpoint_id="e", event_type="buy", event_timestamp=at(5, days=-1)),
    # Two days before: not one of as many days just before.
    event(endpoint_id="f", event_type="look", event_timestamp=at(days=-2)),
]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(monkeypatch, EVENTS)


def test_steps_are_counted_with_the_day_before_and_the_definition(run: Run) -> None:
    said = json.loads(run("funnel", "look", "buy", *DAYS, "--within", "1h", "--json").stdout)
    figures = {figure["name"]: figure for figure in said["figures"]}
    # 2 of 3 within the hour, its very end included; the day before 1 of 2.
    assert figures["converted: step 2 of step 1"]["value"] == pytest.approx(2 / 3)
    assert figures["converted: step 2 of step 1"]["before"] == 0.5
    assert (figures["endpoints at step 1"]["value"], figures["endpoints at step 1"]["before"]) == (3, 2)
    assert figures["endpoints at step 1"]["change_share"] == 0.5
    # 10 and 60 minutes: 35; the day before 5.
    assert (figures["median time to convert"]["value"], figures["median time to convert"]["before"]) == (2100, 300)
    assert (said["from"], said["to"], said["before"]) == ("2026-11-23", "2026-11-23", {"from": "2026-11-22", "to": "2026-11-22"})
    assert said["definition"]["denominator"] == "endpoints that reached step 1 on one of the days"
    assert said["definition"]["zone"] == "the app's: UTC"
    assert [(row["step"], row["subject_count"], row["subject_count_before"]) for row in said["rows"]] == [("look", 3, 2), ("buy", 2, 1)]


def test_longer_window_counts_what_the_shorter_one_left_out(run: Run) -> None:
    said = json.loads(run("funnel", "look", "buy", *DAYS, "--within", "61m", "--json").stdout)
    assert [row["subject_count"] for row in said["rows"]] == [3, 3]


def test_text_says_figures_chart_and_definition_without_colours(run: Run) -> None:
    text = run("funnel", "look", "buy", *DAYS, "--within", "1h").stdout
    assert "\x1b" not in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "funnel look > buy 2026-11-23" in lines
    assert "before (2026-11-22) change" in lines
    assert "converted: step 2 of step 1 66.7 % 50.0 % +16.7 points" in lines
    assert "median time to convert 35 min 5 min +600.0 %" in lines
    assert "2 buy 2 ████████████████▋ 1 +100.0 %" in lines
    assert "Most are lost before step 2, buy: 1 of 3." in lines
    assert "SQL headwater views show funnel" in lines


def test_days_before_that_are_not_all_known_make_no_change(run: Run) -> None:
    # The lake begins with the 21st: of the 20th and 21st, the two days before, it knows one.
    days = ("--from", "2026-11-22", "--to", "2026-11-23")
    for more in ([], ["--app", "shop"]):
        said = json.loads(run("funnel", "look", "buy", *days, *more, "--json").stdout)
        at_step_1 = said["figures"][1]
        assert (at_step_1["value"], at_step_1["before"], at_step_1["change"], at_step_1["change_share"]) == (5, 1, None, None)
        of_app = " of shop" if more else ""
        assert f"Events{of_app} are known from 2026-11-21 on, 1 of the 2 days before: no change is told." in said["notes"]
    # Nor do the bars tell one.
    text = run("funnel", "look", "buy", *days).stdout
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "2 buy 4 ████████████████████ 0 -" in lines
    assert "1 of the 2 days before" in text


def test_event_type_that_has_never_come_is_said_with_the_nearest(run: Run) -> None:
    said = "No event{} of type '{}' has come, on whatever day; the nearest types are {}."
    for steps, more, of_app, wrong in (
        (("loook", "buy"), (), "", ["loook"]),
        (("look", "buyy[color=red]"), ("--app", "shop"), " of shop", ["buyy"]),
        (("look", "buyy"), ("--by", "color"), "", ["buyy"]),
        (("loook", "buyy"), (), "", ["buyy", "loook"]),
    ):
        notes = json.loads(run("funnel", *steps, *DAYS, *more, "--json").stdout)["notes"]
        near = {"loook": "look, buy", "buyy": "buy, look"}
        assert [note for note in notes if "of type" in note] == [said.format(of_app, name, near[name]) for name in wrong]


def test_event_type_of_other_days_is_known(run: Run) -> None:
    # Nobody bought on the 21st.
    said = json.loads(run("funnel", "look", "buy", "--from", "2026-11-21", "--to", "2026-11-21", "--json").stdout)
    assert [row["subject_count"] for row in said["rows"]] == [1, 0]
    assert not any("of type" in note for note in said["notes"])


def test_any_order_is_a_question_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [event(event_type="buy"), event(event_type="look", event_timestamp=at(1))]
    run = runner(monkeypatch, events)
    for order, expected in (("strict", [1, 0]), ("any", [1, 1])):
        said = json.loads(run("funnel", "look", "buy", *DAYS, "--order", order, "--json").stdout)
        assert [row["subject_count"] for row in said["rows"]] == expected


def test_breakdown_by_an_attribute_has_all_steps_of_each_value(run: Run) -> None:
    result = run("funnel", "look", "buy", *DAYS, "--within", "1h", "--by", "color", "--csv")
    found = [(row["by_value"], row["step"], row["subject_count"]) for row in csv.DictReader(io.StringIO(result.stdout))]
    assert found == [("blue", "look", "1"), ("blue", "buy", "0"), ("red", "look", "2"), ("red", "buy", "2")]
    text = run("funnel", "look", "buy", *DAYS, "--within", "1h", "--by", "color").stdout
    # Of all values together.
    assert "66.7 %" in text
    assert text.index("red: 1 look") < text.index("blue: 1 look")


def test_empty_lake_gives_zeros_and_an_empty_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner(monkeypatch, [])
    for more in ([], ["--by", "colour"], ["--app", "shp"]):
        result = run("funnel", "look", "buy", *DAYS, *more)
        assert (result.exit_code, "endpoints at step 1" in result.stdout) == (0, True)
    said = json.loads(run("funnel", "look", "buy", *DAYS, "--json").stdout)
    assert [row["subject_count"] for row in said["rows"]] == [0, 0]
    assert said["figures"][0]["value"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("look[", "buy", *DAYS), r"Step 'look\[' cannot be read; expected a type of event and conditions"),
        (
            ("look", *DAYS, "--within", "soon"),
            "^Option '--within' is 'soon'; expected a length of time of at least a millisecond, for example 30m, 2h or 7d.$",
        ),
        (
            ("look", *DAYS, "--within", "-1 day"),
            "^Option '--within' is '-1 day'; expected a length of time of at least a millisecond, for example 30m, 2h or 7d.$",
        ),
        # What an option is given is not read as an argument that the error names.
        (("look", *DAYS, "--within", "by is it"), "^Option '--within' is 'by is it'; expected"),
        (("look", *DAYS, "--order", "loose"), "^Option '--order' is 'loose'; expected one of strict, any"),
        (("look", *DAYS, "--subject", "people"), "^Option '--subject' is 'people'; expected one of endpoint, user"),
        (("look", *DAYS, "--by", "colour"), "^Option '--by' is 'colour'; no event look has the attribute 'colour'.*the nearest are color"),
        (("look", "buy[prise>=1]", *DAYS), r"^Argument 'STEP' is 'buy\[prise>=1\]'; no event buy has the metric 'prise'"),
        (("look", *DAYS, "--app", "shp"), "'--app' is 'shp', which has no events; expected an app that has. Did you mean 'shop'"),
        (("look", "--from", "2026-11-24", "--to", "2026-11-23"), "'--from' is 2026-11-24 and '--to' is 2026-11-23; expected the first day"),
        (("look", "--from", "23.11.2026"), "'--from' is '23.11.2026'; expected a day, for example 2026-11-01, today, yesterday, -30d"),
        (("look", *DAYS, "--json", "--csv"), "expected one of the two"),
    ],
)
def test_wrong_question_says_what_was_expected(run: Run, arguments: tuple[str, ...], message: str) -> None:
    assert re.search(message, refusal(run("funnel", *arguments)))


@pytest.mark.parametrize(
    ("within", "moment", "is_unfinished"),
    [
        # The last attempt begins just before midnight of the 24th in Berlin, which is 23:00 UTC of the 23rd.
        pytest.param("1h", "2026-11-23T23:59:59.999+00:00", True, id="before its end"),
        pytest.param("1h", "2026-11-24T00:00:00+00:00", False, id="at its end"),
        pytest.param("7d", "2026-11-24T12:00:00+00:00", True, id="within a week"),
        pytest.param("7d", "2026-11-30T23:00:00+00:00", False, id="after a week"),
    ],
)
def test_attempts_that_are_not_over_are_said(within: str, moment: str, is_unfinished: bool) -> None:
    settings, day = load_settings(report_zone="Europe/Berlin"), dt.date(2026, 11, 23)
    now = dt.datetime.fromisoformat(moment)
    with memory_reader(settings, EVENTS) as reader:
        answer = ask_funnel(reader, FunnelAsked(["look"], within), Days(day, day, dt.date(2026, 11, 24)), "Europe/Berlin", lambda: now)
    said = f"Attempts of the last days may still get further, they have {within}: a fall may only be that."
    assert answer.notes == ([said] if is_unfinished else [])


def test_a_funnel_without_steps_is_wrong_use(run: Run) -> None:
    assert run("funnel").exit_code == 2


@pytest.mark.parametrize("within", ["30m", "2h", "7d"])
def test_lengths_that_an_error_shows_are_taken(run: Run, within: str) -> None:
    assert run("funnel", "look", "buy", *DAYS, "--within", within, "--csv").exit_code == 0
