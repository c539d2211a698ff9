"""A dirty simulated month: no check fails, every figure of the ledger is what the views say; and with a rule off, the figures that it is for differ."""

import functools
import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.ask.checks import list_checks
from pipeline.ask.views import Severity
from pipeline.config import Settings, load_settings
from pipeline.simulate import ledger as simulate_ledger
from pipeline.simulate.compare import COMPARED, DAY_NAMES, compare_ledger, list_differences
from pipeline.simulate.compare_charts import CHARTS
from pipeline.simulate.kpi_measures import MEASURES
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.malformed import KINDS, RARE_KINDS
from pipeline.simulate.plan import DAY, MINUTE, Plan
from pipeline.simulate.records import LANDED, Message
from schemas.errors import UsageError
from tests.lake_rows import library
from tests.simulated import messages_of
from tests.simulated_lake import Landed, land_messages, simulated_lake

# A fifth of the messages and of the people: some of each kind of dirt, more than 500 malformed messages, so that one is too large.
PLAN = Plan(users=400, days=30, start=date(2026, 10, 10), seed=4, dirty=0.2)
# Clocks go back on 2026-11-01, a day of 25 hours.
ZONE = "America/New_York"
Differences = dict[str, tuple[Any, Any]]


def month_settings(**given: Any) -> Settings:
    return load_settings(app_zones={PLAN.app: ZONE}, report_zone="Asia/Tokyo", **given)


@functools.cache
def landed(dedup_enabled: bool = True) -> Landed:
    with tempfile.TemporaryDirectory() as folder:
        return land_messages(messages_of(PLAN), month_settings(dedup_enabled=dedup_enabled), Path(folder))


def count_truth(zone: str = ZONE) -> dict[str, Any]:
    ledger = Ledger(PLAN, zone)
    ledger.add(list(messages_of(PLAN)))
    return ledger.report()


truth = functools.cache(count_truth)


def compare(settings: Settings, ledger: dict[str, Any] | None = None, dedup_enabled: bool = True) -> list[tuple[str, Any, Any]]:
    """Every figure as the ledger has it and as the views say by `settings`."""
    with simulated_lake(landed(dedup_enabled), settings) as con:
        return compare_ledger(ledger or truth(), lambda sql: con.execute(sql).fetchall())


def differences(settings: Settings, ledger: dict[str, Any] | None = None, dedup_enabled: bool = True) -> Differences:
    return {name: (expected, found) for name, expected, found in list_differences(compare(settings, ledger, dedup_enabled))}


def named(found: Iterable[str]) -> set[str]:
    """Which figures, days and campaigns apart: dates.revenue of dates.2026-11-01.revenue, messages.EMAIL.opens of messages.EMAIL.c1.opens, kpis.sms-spend of kpis.sms-spend.c1, kpis.push-open-rate.denominator of kpis.push-open-rate.c1.denominator."""
    parts = [name.split(".") for name in found]
    return {
        ".".join(part for place, part in enumerate(each) if place != {"dates": 1, "messages": 2, "kpis": 2}.get(each[0])) for each in parts
    }


def test_every_figure_of_the_ledger_is_what_the_views_say_of_a_dirty_month() -> None:
    compared = compare(month_settings())
    assert list_differences(compared) == []
    assert {name.split(".")[0] for name, _, _ in compared} == {*COMPARED, "kpis"}
    with simulated_lake(landed(), month_settings()) as con:
        kpis = con.execute("select kpi_name, denominator is not null from kpis.names where family <> 'hourly_email_kpis'").fetchall()
    # Every KPI that there is but those by the hour, which the ledger does not know, with what a rate divides by, and of each chart days, weeks and months.
    everything = {f"{name}{part}" for name, is_rate in kpis for part in ("", ".denominator")[: 1 + is_rate]}
    everything |= {f"{name}{part}" for name, (_, denominator) in CHARTS.items() for part in ("", ".denominator")[: 1 + bool(denominator)]}
    assert len(kpis) == 90
    assert {name.removeprefix("kpis.") for name in named(name for name, _, _ in compared) if name.startswith("kpis.")} == everything
    periods = {(chart, len(name.split(".")[2])) for name, _, _ in compared for chart in CHARTS if name.startswith(f"kpis.{chart}.")}
    assert periods == {(chart, len(period)) for chart in CHARTS for period in ("2026-10-10", "2026-10", "week 2026-10-12")}
    # None is held to nothing, but for what is so rare that among the few e-mails of journeys there is none.
    shown = {name.removeprefix("kpis.") for name in named(name for name, expected, _ in compared if expected) if name.startswith("kpis.")}
    rare = {f"emails-{what}" for what in ("complained", "rejected", "softbounced", "unsubscribed")}
    assert everything - shown == {f"journey-{name}" for name in rare} | {f"{name}-grouped-by-journey-activity" for name in rare}


def test_every_measure_of_every_kpi_has_its_figures() -> None:
    with simulated_lake(landed(), month_settings()) as con:
        measures = con.execute(
            "select distinct family, measure, denominator is not null from kpis.names where family <> 'hourly_email_kpis'"
        ).fetchall()
    assert {(family, measure, bool(MEASURES[family][measure].denominator)) for family, measure, _ in measures} == set(measures)


def test_the_month_has_each_kind_of_dirt_messages_of_each_channel_and_a_day_of_25_hours() -> None:
    ledger = truth()
    assert ledger["dead_letters"].keys() == {str(reason) for reason, _ in KINDS + RARE_KINDS}
    assert min(ledger[name] for name in ("duplicates", "delayed_events", "bot_events", "sessions_by_gap", "purchases")) > 0
    assert sorted(ledger["messages"]) == ["EMAIL", "IN_APP", "PUSH", "SMS"]
    with simulated_lake(landed(), month_settings()) as con:
        hours = con.execute(
            "select count(distinct date_trunc('hour', event_timestamp)) from core.events where event_date = '2026-11-01'"
        ).fetchall()
        dirt = con.execute(
            """
            select
                count(*) filter (is_late),
                count(*) filter (is_future),
                count(event_timestamp_as_sent),
                count(*) filter (attributes['is_beta'] = 'true'),
                count(*) filter (extra is not null),
                count(*) - count(distinct (endpoint_id, event_id))
            from core.events
            """
        ).fetchone()
        machines = con.execute("select distinct machine_reason from core.message_facts where is_machine order by all").fetchall()
    assert hours == [(25,)]
    assert dirt is not None
    assert min(dirt) > 0
    assert machines == [("burst",), ("prefetch",), ("proxy",), ("within_secs",)]


def test_kpis_of_transactional_texts_are_those_of_the_ledger() -> None:
    figures = truth()["messages"]["SMS"]["transactional"]
    with simulated_lake(landed(), month_settings()) as con:
        sums = dict(con.execute("select kpi_name, sum(numerator) from kpis.txn_sms_kpis group by all").fetchall())
        charts = con.execute(
            """
            select distinct chart
            from kpis.transactional
            -- A period without texts is a row of 0.
            where chart like 'transactional_sms_%' and period = 'month' and numerator > 0
            """
        ).fetchall()
    assert sums["txn-sms-sent"] == sums["txn-sms-sent-grouped-by-country"] == figures["sent"]
    assert sums["txn-sms-delivered"] == figures["delivered"] < figures["sent"]
    assert sums["txn-sms-sent-by-parts"] == figures["parts"] > figures["sent"]
    assert sums["txn-sms-total-price-grouped-by-country"] == figures["price_millicents"]
    assert sorted(charts) == [
        (f"transactional_sms_{name}",)
        for name in (
            "delivered_by_country",
            "deliveries",
            "delivery_rate",
            "errors",
            "parts_sent",
            "price_by_country",
            "sent",
            "sent_by_country",
        )
    ]


# What this month must warn of, and the dirt that each comes from.
WARNINGS: dict[str, str] = {
    "events_are_fresh": "the month is over",
    "no_days_in_the_future": "views of a page bear times that were still to come",
    "no_new_event_type": "a complaint is so rare that the first one comes in the last week",
    "no_send_after_opt_out": "the shop's campaigns do not ask who opted out",
}


@functools.cache
def found_by_checks() -> dict[Severity, dict[str, list[tuple[Any, ...]]]]:
    """The rows of each check that returns any, by severity."""
    found: dict[Severity, dict[str, list[tuple[Any, ...]]]] = {severity: {} for severity in Severity}
    with simulated_lake(landed(), month_settings()) as con:
        for check in list_checks(library().views):
            assert check.severity is not None
            rows = con.execute(f"select * from {check.name}").fetchall()
            if rows:
                found[check.severity][check.name.removeprefix("checks.assert_")] = rows
    return found


def test_no_check_fails_on_a_dirty_month() -> None:
    assert found_by_checks()[Severity.FAIL] == {}


def test_a_dirty_month_gives_the_warnings_that_it_deserves_and_no_other() -> None:
    found = found_by_checks()[Severity.WARN]
    assert found.keys() == WARNINGS.keys()
    assert [event_type for _, event_type, *_ in found["no_new_event_type"]] == ["_email.complaint"]
    # Each tells of its dirt and of no other: of as many page views ahead of their day as were sent, of whoever opted out.
    (newest,) = found["events_are_fresh"]
    assert newest[0] > datetime(2026, 11, 8, tzinfo=UTC)
    ahead = [message for message in messages_of(PLAN) if message.outcome == LANDED and comes_before_its_day(message)]
    assert {message.event_type for message in ahead} == {"screen.view", "product.view"}
    assert sum(count for _, count, *_ in found["no_days_in_the_future"]) == len(ahead) > 0
    opted_out = {message.endpoint_id for message in messages_of(PLAN) if message.event_type in ("_email.unsubscribe", "_SMS.OPTOUT")}
    assert {endpoint_id for _, _, endpoint_id, *_ in found["no_send_after_opt_out"]} <= opted_out


def comes_before_its_day(message: Message) -> bool:
    """It bears a day that begins more than five minutes after it was sent; of a wrong clock the time is corrected."""
    event_ms = message.event_ms + (message.behind_ms if abs(message.behind_ms) > MINUTE else 0)
    return event_ms // DAY > (message.sent_ms + 5 * MINUTE) // DAY


def test_with_deduplication_off_resends_land_and_are_counted_twice() -> None:
    """The control of dedup: nothing but the resends is added, and what counts each endpoint, session or message once stays."""
    settings = month_settings(dedup_enabled=False)
    ledger, found = truth(), differences(settings, dedup_enabled=False)
    assert found["duplicates"] == (ledger["duplicates"], 0)
    assert found["landed"] == (ledger["landed"], ledger["landed"] + ledger["duplicates"])
    assert {"purchases", "units", "revenue", "dates.events", "dates.purchases", "dates.revenue"} <= named(found)
    once = {"sent", "dead_letters", "endpoints", "active_endpoints", "named_users", "buyers", "sessions", "sessions_by_gap"}
    assert named(found) & (once | {f"dates.{name}" for name in once}) == set()
    assert all(counted > expected for name, (expected, counted) in found.items() if name != "duplicates")
    resent = Counter(message.event_type for message in messages_of(PLAN) if message.outcome == "duplicate")
    assert {name: counted - expected for name, (expected, counted) in found.items() if name.startswith("event_types.")} == {
        f"event_types.{event_type}": count for event_type, count in resent.items()
    }


def test_with_deduplication_off_the_check_finds_every_event_that_landed_again() -> None:
    with simulated_lake(landed(dedup_enabled=False), month_settings()) as con:
        assert con.execute("select count(*) > 0 from checks.assert_no_event_landed_twice").fetchall() == [(True,)]


@pytest.mark.parametrize(("gap_mins", "is_more"), [(1, True), (24 * 60, False)])
def test_with_another_session_gap_sessions_by_gap_differ(monkeypatch: pytest.MonkeyPatch, gap_mins: int, is_more: bool) -> None:
    """The control of the session gap: sessions that a client names stay, and a ledger of the same gap agrees again."""
    settings = month_settings(session_gap_mins=gap_mins)
    found = differences(settings)
    assert named(found) == {"sessions", "sessions_by_gap", "dates.sessions", "kpis.usage_sessions", "kpis.usage_sessions_per_endpoint"}
    (expected, counted), (expected_by_gap, counted_by_gap) = found["sessions"], found["sessions_by_gap"]
    assert (counted > expected) is is_more
    assert counted - expected == counted_by_gap - expected_by_gap
    monkeypatch.setattr(simulate_ledger, "SESSION_GAP", gap_mins * MINUTE)
    assert differences(settings, count_truth()) == {}


def test_with_machine_opens_off_machines_are_counted_as_people() -> None:
    """The control of machine opens: what is off moves from machines to people, of e-mails alone."""
    found = differences(month_settings(machine_opens_enabled=False))
    figures = {"opened", "opens", "clicked", "clicks"}
    kpis = {name for measures in MEASURES.values() for name in measures if name.endswith("-by-people")}
    kpis = {f"journey-{name}" if name.startswith("emails-") else name for name in kpis}
    assert named(found) == {f"messages.EMAIL.{machine}{figure}" for machine in ("", "machine_") for figure in figures} | {
        f"kpis.{name}" for name in kpis
    }
    for name, (expected, counted) in found.items():
        head, _, figure = name.rpartition(".")
        if figure in ("machine_opens", "machine_clicks"):
            assert expected > counted == 0
            people, everybody = found[f"{head}.{figure.removeprefix('machine_')}"]
            assert everybody == people + expected


def test_with_days_of_utc_only_figures_of_days_differ() -> None:
    """The control of the zone; a ledger that says itself that it counts days of UTC is refused."""
    by_utc = count_truth("UTC")
    found = named(differences(month_settings(), by_utc | {"zone": ZONE}))
    charts = {f"kpis.{chart}{part}" for chart, parts in CHARTS.items() for part in ("", ".denominator")[: 1 + bool(parts[1])]}
    # So few opt out that all may do so of messages of the middle of a day.
    assert found | {"kpis.campaigns_opt_out_rate"} == {f"dates.{figure}" for figure in DAY_NAMES} | charts
    with pytest.raises(
        UsageError, match=r"app 'shop' in the zone UTC, and the settings report them in America/New_York; expected the same"
    ):
        compare(month_settings(), by_utc)
