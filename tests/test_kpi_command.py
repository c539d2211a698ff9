"""`headwater kpi` over a few messages: numbers worked out by hand, the days before, the days that people write, what is refused."""

import csv
import datetime as dt
import io
import json
import re
from typing import Any

import pytest

from pipeline.answers.days import Days, read_days
from pipeline.answers.kpi_names import choose_column, load_kpis
from pipeline.answers.kpi_question import ask_kpi
from pipeline.config import load_settings
from schemas.errors import UsageError
from tests.answer_commands import Run, memory_reader, refusal, runner
from tests.lake_rows import Row, at, event
from tests.message_rows import RUN, mail, text

DAYS = ("--from", "2026-11-22", "--to", "2026-11-23")


def sent(name: str, days: int, *kinds: str, **given: Any) -> list[Row]:
    """A transactional e-mail to an endpoint of the same name, so many days from the 23rd, and what became of it."""
    return [mail(kind, message_id=name, endpoint_id=name, event_timestamp=at(days=days), **given) for kind in ("send", *kinds)]


# The 23rd: four sent, one bounced hard. The 22nd: one sent. The two days before: two sent, one bounced. Another app: one.
EVENTS = [
    *sent("a", 0, "delivered"),
    *sent("b", 0, "delivered"),
    *sent("c", 0, "delivered"),
    *sent("d", 0, "hardbounce"),
    *sent("e", -1, "delivered"),
    *sent("f", -2, "hardbounce"),
    *sent("g", -3, "delivered"),
    *sent("h", 0, "delivered", app_id="other"),
]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(monkeypatch, EVENTS)


def test_rate_is_told_with_its_parts_the_days_before_and_the_definition(run: Run) -> None:
    said = json.loads(run("kpi", "txn-emails-delivery-rate", *DAYS, "--app", "shop", "--json").stdout)
    rate, delivered, all_sent = said["figures"]
    # 4 of 5; before 1 of 2.
    assert (rate["value"], rate["before"], rate["kind"]) == (0.8, 0.5, "share")
    assert rate["change"] == pytest.approx(0.3)
    assert (delivered["name"], delivered["value"], delivered["before"]) == ("delivered", 4, 1)
    assert (all_sent["name"], all_sent["value"], all_sent["before"]) == ("sent", 5, 2)
    assert said["before"] == {"from": "2026-11-20", "to": "2026-11-21"}
    assert (said["definition"]["numerator"], said["definition"]["denominator"]) == ("delivered", "sent")
    assert (said["definition"]["zone"], said["definition"]["clock"]) == (
        "the app's: UTC",
        "when the message was sent, else its first answer",
    )
    assert [(row["kpi_date"], row["value"], row["value_before"]) for row in said["rows"]] == [
        ("2026-11-22", 1.0, 1.0),
        ("2026-11-23", 0.75, 0.0),
    ]


def test_count_is_of_all_apps_unless_one_is_named(run: Run) -> None:
    for more, value in (([], 6), (["--app", "shop"], 5), (["--app", "other"], 1)):
        said = json.loads(run("kpi", "txn-emails-sent", *DAYS, *more, "--json").stdout)
        assert said["figures"][0]["value"] == value


def test_text_says_figures_chart_and_definition_without_colours(run: Run) -> None:
    result = run("kpi", "txn-emails-delivery-rate", *DAYS, "--app", "shop")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "\x1b" not in result.stdout
    assert "txn-emails-delivery-rate 2026-11-22 to 2026-11-23" in lines
    assert "e-mails that were delivered 80.0 % 50.0 % +30.0 points" in lines
    assert "sent 5 2 +150.0 %" in lines
    assert "| 11-22 11-23" in lines
    assert "line: 2026-11-22 to 2026-11-23; dots: 2026-11-20 to 2026-11-21" in lines
    assert "SQL headwater views show kpis.txn_email_kpis" in lines


def test_unit_stands_beside_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner(monkeypatch, [text("SUCCESS", 1, 1645.0), text("SUCCESS", 1, 300.0, message_id="t3", **RUN), mail("send")])
    shown = {
        name: [" ".join(line.split()) for line in run("kpi", name, *DAYS).stdout.splitlines()]
        for name in ("sms-spend", "txn-sms-average-price-grouped-by-country", "txn-emails-sent", "txn-emails-delivery-rate")
    }
    assert "what the texts cost 300.00 millicents 0.00 -" in shown["sms-spend"]
    assert "unit millicents, thousandths of a US cent" in shown["sms-spend"]
    assert "what a text cost 1,645.00 millicents - -" in shown["txn-sms-average-price-grouped-by-country"]
    assert "price of texts sent 1,645.00 millicents 0.00 -" in shown["txn-sms-average-price-grouped-by-country"]
    assert "sent 1 0 -" in shown["txn-sms-average-price-grouped-by-country"]
    assert "e-mails that were sent 1 messages 0 -" in shown["txn-emails-sent"]
    # Of a share it is the %.
    assert "e-mails that were delivered 100.0 % - -" in shown["txn-emails-delivery-rate"]


def test_days_of_which_nothing_is_known_are_said_and_not_drawn(run: Run) -> None:
    # E-mails are known of the 20th to the 23rd.
    unknown = "No events of shop are known on these days; known are 2026-11-20 to 2026-11-23."
    for first, last in (("2026-11-18", "2026-11-19"), ("2026-11-24", "2026-11-25")):
        shown = run("kpi", "txn-emails-delivery-rate", "--from", first, "--to", last, "--app", "shop").stdout
        assert unknown in shown
        assert "line:" not in shown
        assert "by day" not in shown
        # Nor is there a change against days that are known.
        assert "-100" not in shown
        assert "no change" not in shown
    # The days at either end are known.
    for first, last in (("2026-11-18", "2026-11-20"), ("2026-11-23", "2026-11-25")):
        shown = run("kpi", "txn-emails-delivery-rate", "--from", first, "--to", last, "--app", "shop").stdout
        assert "No events" not in shown
        assert "by day" in shown


def test_kind_of_message_that_nobody_got_on_known_days_is_said_and_not_drawn(run: Run) -> None:
    for name, of in (
        ("email-open-rate", "messages of campaigns"),
        ("txn-sms-sent", "transactional messages"),
        ("journey-emails-sent", "messages of journeys"),
    ):
        shown = run("kpi", name, *DAYS, "--app", "shop").stdout
        assert f"No {of} that it counts are known on these days." in shown
        assert "by day" not in shown
    # Sent, and not opened: a share of 0, which is drawn.
    assert "by day" in run("kpi", "txn-emails-opened", *DAYS, "--app", "shop").stdout


def test_lake_without_events_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        "No events of shop of a day that can be right have come yet."
        in runner(monkeypatch, [])("kpi", "txn-emails-sent", *DAYS, "--app", "shop").stdout
    )


@pytest.mark.parametrize(
    "older",
    [
        # Another app's archive, which ended long before.
        event(app_id="archive", event_timestamp=at(days=-400)),
        # A mail of weeks ago, opened today: the days of its sending are not known by that.
        mail("open", 20 * 86400, event_timestamp=at(days=-20), message_id="old", _appended_at=at()),
    ],
    ids=["archive", "late open"],
)
def test_no_change_is_told_against_days_that_only_something_older_makes_known(monkeypatch: pytest.MonkeyPatch, older: Row) -> None:
    told = json.loads(runner(monkeypatch, [mail("send"), older])("kpi", "txn-emails-sent", *DAYS, "--json").stdout)
    assert told["figures"][0]["change"] is None
    assert told["notes"][0] == "Events are known from 2026-11-23 on, none of the 2 days before: no change is told."
    # The control: an event of the same app on those days makes them known.
    known = [mail("send"), older, event(event_timestamp=at(days=-3))]
    told = json.loads(runner(monkeypatch, known)("kpi", "txn-emails-sent", *DAYS, "--json").stdout)
    assert told["figures"][0]["change"] is not None


def test_endpoints_are_counted_once_over_all_days(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Row] = [row for day in (0, -1) for row in sent("a", day, "open", arrival_timestamp=at(30, days=day))]
    opened = [{**row, "message_id": f"m{number // 2}"} for number, row in enumerate(opened)]
    said = json.loads(runner(monkeypatch, opened)("kpi", "txn-emails-unique-opens", *DAYS, "--json").stdout)
    # One endpoint opened on either day: one, not two.
    assert ([row["value"] for row in said["rows"]], said["figures"][0]["value"]) == ([1, 1], 1)


def test_breakdown_by_campaign_shows_each_with_a_small_line(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        mail("send", message_id=f"m{number}", endpoint_id=f"e{number}", **dict[str, Any](RUN | {"campaign_id": campaign}))
        for number, campaign in enumerate(("spring", "spring", "autumn"))
    ]
    run = runner(monkeypatch, events)
    # By --by, and by what the name says.
    for arguments in (
        ("attempted-deliveries-grouped-by-campaign-activity", "--by", "campaign"),
        ("successful-deliveries-grouped-by-campaign",),
    ):
        found = list(csv.DictReader(io.StringIO(run("kpi", *arguments, *DAYS, "--csv").stdout)))
        assert [(row["campaign_id"], row["value"]) for row in found] == [("spring", "2"), ("autumn", "1")], arguments
    text_shown = run("kpi", "successful-deliveries-grouped-by-campaign", *DAYS).stdout
    assert "by day" in text_shown
    assert "⢸" in text_shown


def test_texts_by_country_are_found_from_the_name_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner(monkeypatch, [text("SUCCESS")])
    said = json.loads(run("kpi", "txn-sms-sent", *DAYS, "--by", "country", "--json").stdout)
    assert [(row["country"], row["value"]) for row in said["rows"]] == [("US", 1)]


def test_every_kpi_is_a_count_of_0_or_a_share_of_none_on_an_empty_lake() -> None:
    with memory_reader(load_settings(), []) as reader:
        kpis = load_kpis(reader)
        # Pinpoint's names; the others are Headwater's own.
        assert reader.rows("select count(*) from kpis.names where is_pinpoint") == [(78,)]
        answers = {name: ask_kpi(reader, name, THE_23RD, "UTC") for name in kpis}
    rates = {name for name, kpi in kpis.items() if kpi.denominator}
    # A share of nothing is none, and so is a price of no texts; their parts are zeros.
    expected = {name: [None, 0, 0] if name in rates else [0] for name in kpis}
    assert {name: [figure.value for figure in answer.figures] for name, answer in answers.items()} == expected
    assert {name: [figure.before for figure in answer.figures] for name, answer in answers.items()} == expected
    assert {"txn-emails-delivery-rate", "email-open-rate", "txn-sms-average-price-grouped-by-country"} <= rates
    assert not {"txn-emails-sent", "unique-deliveries", "txn-sms-error-distribution"} & rates
    # By day there is the day that was asked for, and by anything else no group.
    assert {name: [row[3] for row in answer.rows] for name, answer in answers.items() if answer.columns[0] == "kpi_date"} == {
        name: expected[name][:1] for name, answer in answers.items() if answer.columns[0] == "kpi_date"
    }
    assert [name for name, answer in answers.items() if answer.columns[0] != "kpi_date" and answer.rows] == []


def test_command_answers_on_an_empty_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner(monkeypatch, [])
    for name in (
        "txn-emails-sent",
        "unique-deliveries-grouped-by-date",
        "email-open-rate-grouped-by-campaign",
        "txn-sms-error-distribution",
    ):
        result = run("kpi", name, *DAYS)
        assert result.exit_code == 0, result.exception
    # Of a lake without apps no app is misspelt.
    said = json.loads(run("kpi", "txn-emails-delivery-rate", *DAYS, "--app", "shop", "--json").stdout)
    assert [figure["value"] for figure in said["figures"]] == [None, 0, 0]


def test_days_before_that_are_not_known_make_no_change(run: Run) -> None:
    # The shop's first e-mail is of the 20th, which had no day before; those who ask for the 20th and 21st had none of the two.
    for last, which in (("2026-11-20", "not on the day before"), ("2026-11-21", "none of the 2 days before")):
        said = json.loads(run("kpi", "txn-emails-sent", "--from", "2026-11-20", "--to", last, "--app", "shop", "--json").stdout)
        assert (said["figures"][0]["before"], said["figures"][0]["change"]) == (0, None)
        assert said["notes"] == [f"Events of shop are known from 2026-11-20 on, {which}: no change is told."]
    # The other app begins later than the lake does.
    for app, notes in (("other", 1), ("shop", 0)):
        assert len(json.loads(run("kpi", "txn-emails-sent", *DAYS, "--app", app, "--json").stdout)["notes"]) == notes
    grouped = run("kpi", "txn-emails-sent", "--from", "2026-11-20", "--to", "2026-11-21", "--by", "app_id").stdout
    assert "from 0" not in grouped


def test_without_a_name_all_are_listed_with_what_they_count(run: Run) -> None:
    text_shown = run("kpi").stdout
    assert re.search(r"txn-emails-delivery-rate +│ transactional +│ e-mails that were delivered +│ delivered / sent", text_shown)


@pytest.mark.parametrize(
    ("name", "of", "messages"),
    [
        ("email-open-rate", "campaigns", "campaigns only"),
        ("journey-emails-opened", "journeys", "journeys only"),
        ("txn-emails-opened", "transactional", "transactional only"),
        ("txn-sms-sent", "transactional", "transactional only"),
        ("emails-opened-once-an-hour", "all", "all"),
    ],
)
def test_kpi_says_whose_messages_it_counts(run: Run, name: str, of: str, messages: str) -> None:
    assert re.search(rf"{name} +│ {of} +│", run("kpi").stdout)
    assert json.loads(run("kpi", name, *DAYS, "--json").stdout)["definition"]["messages"] == messages


# Of every family two messages of the 23rd that differ in all that it groups by, and say it.
JOURNEY: dict[str, Any] = {"journey_id": "j1", "journey_run_id": "r1", "journey_activity_id": "welcome"}
EVERYTHING = [
    mail("send"),
    mail("send", message_id="m2", endpoint_id="mail-2"),
    text("SUCCESS", 1, 645.0),
    text("FAILURE", 1, 645.0),
    text("FAILURE", 1, 500.0, message_id="t2", attributes={"iso_country_code": "DE", "record_status": "UNREACHABLE"}),
    mail("send", **JOURNEY),
    mail("send", **JOURNEY | {"journey_id": "j2", "journey_run_id": "r2", "journey_activity_id": "remind"}),
    mail("send", **RUN),
    mail("send", endpoint_id="mail-2", campaign_id="c2", campaign_activity_id="run-2", treatment_id="1"),
    text("SUCCESS", 1, 300.0, message_id="t3", **RUN),
]
OFFERED = {
    "campaign_kpis": ["app_id", "campaign_id", "treatment_id", "campaign_activity_id"],
    "txn_email_kpis": ["app_id"],
    "txn_sms_kpis": ["app_id", "country", "record_status"],
    "journey_kpis": ["app_id", "journey_id", "journey_activity_id"],
}
THE_23RD = Days(dt.date(2026, 11, 23), dt.date(2026, 11, 23), dt.date(2026, 11, 24))


@pytest.mark.parametrize(("family", "column"), [(family, column) for family, columns in OFFERED.items() for column in columns])
def test_every_kpi_by_every_column_that_it_offers_knows_its_groups(family: str, column: str) -> None:
    wrong = {}
    with memory_reader(load_settings(), EVERYTHING) as reader:
        for kpi in load_kpis(reader).values():
            if kpi.family != family:
                continue
            answer = ask_kpi(reader, kpi.name, THE_23RD, "UTC", column)
            groups = {row[0] for row in answer.rows}
            # Groups add up to the whole: nobody here is in two.
            whole = sum(row[1] for row in answer.rows)
            if "unknown" in groups or (not kpi.denominator and whole != answer.figures[0].value):
                wrong[kpi.name] = (groups, whole, answer.figures[0].value)
    assert wrong == {}


@pytest.mark.parametrize("family", OFFERED)
def test_column_that_a_family_does_not_have_is_refused_with_those_that_it_has(family: str) -> None:
    with memory_reader(load_settings(), []) as reader:
        for kpi in load_kpis(reader).values():
            if kpi.family == family:
                with pytest.raises(UsageError) as refused:
                    choose_column(reader, kpi, "city")
                assert set(re.findall(r"[a-z_]+_(?:id|date|status)|country", str(refused.value))) == {*OFFERED[family], "kpi_date"}, (
                    kpi.name
                )


@pytest.mark.parametrize(
    ("name", "column", "rows"),
    [
        ("sms-spend", "campaign_activity_id", [("run-1", 300), ("run-2", 0)]),
        ("txn-sms-sent", "country", [("DE", 1), ("US", 1)]),
        ("txn-sms-total-price-grouped-by-country", "record_status", [("DELIVERED", 645), ("UNREACHABLE", 500)]),
        ("journey-emails-sent", "journey_activity_id", [("remind", 1), ("welcome", 1)]),
    ],
)
def test_groups_are_those_of_the_column_also_where_the_name_says_another(name: str, column: str, rows: list[tuple[str, float]]) -> None:
    with memory_reader(load_settings(), EVERYTHING) as reader:
        assert sorted((row[0], row[1]) for row in ask_kpi(reader, name, THE_23RD, "UTC", column).rows) == rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("txn-email-send",), "KPI 'txn-email-send' is not there. Did you mean 'txn-emails-sent'"),
        (("txn-emails-sent", "--by", "contry"), "'--by' is 'contry'; KPI 'txn-emails-sent' can be grouped by app_id"),
        (("txn-emails-sent", "--by", "endpoint_id"), "'--by' is 'endpoint_id'"),
        (("txn-emails-sent", "--app", "Shp"), "'--app' is 'Shp', which has no events; expected an app that has. Did you mean 'shop'"),
        (
            ("txn-emails-sent", "--app", "zzz"),
            "'--app' is 'zzz', which has no events; expected an app that has. headwater sql 'select distinct",
        ),
        (
            ("txn-emails-unique-opens", "--by", "campaign_id"),
            "'--by' is 'campaign_id'; KPI 'txn-emails-unique-opens' can be grouped by app_id, kpi_date",
        ),
    ],
)
def test_wrong_question_names_the_nearest(run: Run, arguments: tuple[str, ...], message: str) -> None:
    assert re.search(message, refusal(run("kpi", *arguments, *DAYS)))


NOON = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)


def asked(from_text: str, to_text: str, now: dt.datetime = NOON, **given: Any) -> tuple[str, str]:
    days = read_days(load_settings(**given), from_text, to_text, now=lambda: now)
    return str(days.first), str(days.last)


def test_days_are_iso_days_or_counted_back_from_today() -> None:
    assert asked("2026-11-01", "2026-11-02") == ("2026-11-01", "2026-11-02")
    assert asked("-7d", "yesterday") == ("2026-11-19", "2026-11-25")
    assert asked("-2w", "today") == ("2026-11-12", "2026-11-26")
    # Thirty days, today the last of them.
    assert asked("", "") == ("2026-10-28", "2026-11-26")
    assert asked("", "2026-11-30") == ("2026-11-01", "2026-11-30")


def test_today_is_that_of_the_zone_of_reports() -> None:
    # Eleven in the evening of the 26th in UTC: the 27th in Berlin.
    assert asked("today", "", NOON + dt.timedelta(hours=11), report_zone="Europe/Berlin") == ("2026-11-27", "2026-11-27")


@pytest.mark.parametrize(
    "wrong", ["26.11.2026", "2026-11", "2026-11-31", "-7", "tomorrow", "-99999w", "0001-01-01", "9999-12-31", "20261101"]
)
def test_day_that_cannot_be_read_says_what_was_expected(wrong: str) -> None:
    with pytest.raises(
        UsageError, match=f"Option '--from' is '{re.escape(wrong)}'; expected a day, for example 2026-11-01, today, yesterday"
    ):
        asked(wrong, "")


def days(first: str, last: str) -> Days:
    return Days(dt.date.fromisoformat(first), dt.date.fromisoformat(last), dt.date(2026, 11, 26))


@pytest.mark.parametrize(
    ("period", "first", "last", "before"),
    [
        ("day", "2026-11-01", "2026-11-30", "2026-10-02 to 2026-10-31"),
        ("day", "2026-11-01", "2026-11-01", "2026-10-31"),
        # Thursday to Tuesday lies in two weeks from Monday.
        ("week", "2026-11-05", "2026-11-10", "2026-10-19 to 2026-10-27"),
        ("month", "2026-02-01", "2026-02-28", "2026-01-01 to 2026-01-31"),
        ("month", "2026-11-20", "2026-12-15", "2026-09-01 to 2026-10-15"),
        ("month", "2027-03-01", "2027-03-30", "2027-02-01 to 2027-02-28"),
    ],
)
def test_period_before_is_as_long_and_just_before(period: str, first: str, last: str, before: str) -> None:
    assert str(days(first, last).before_in(period)) == before
