"""KPIs of campaigns over one small lake of two runs and three channels, every number worked out by hand."""

from datetime import datetime
from typing import Any

import pytest

from pipeline.config import load_settings
from tests.kpi_rows import BERLIN, CLOCK_CHANGES, Said, days_around, kpi_totals, moments_around
from tests.lake_rows import Row, at, event
from tests.message_rows import RUN, ask, decision, mail, text

TODAY = RUN
TOMORROW = RUN | {"campaign_activity_id": "run-2", "event_timestamp": at(days=1)}
PUSHED: dict[str, Any] = {"campaign_id": "c2", "campaign_activity_id": "run-3", "treatment_id": "1"}
TEXTED = {"campaign_id": "c3", "campaign_activity_id": "run-4"}


def sent(endpoint_id: str, run: dict[str, Any], *kinds: str) -> list[Row]:
    """The send to an endpoint, and what followed, ten seconds after each other."""
    return [mail(kind, 10 * place, endpoint_id=endpoint_id, **run) for place, kind in enumerate(("send", *kinds))]


LAKE = [
    # Campaign c1, today: ann opens twice and clicks twice; ben's bounces hard; cid's bounces softly; eve is held out.
    *sent("ann", TODAY, "delivered", "open", "open", "click", "click"),
    *sent("ben", TODAY, "hardbounce"),
    *sent("cid", TODAY, "softbounce"),
    decision("EMAIL", "HOLDOUT", endpoint_id="eve"),
    # Its second run, a day later: ann's is delivered, and opened by a machine four seconds after the send.
    *sent("ann", TOMORROW, "delivered"),
    mail("open", 4, endpoint_id="ann", **TOMORROW),
    # Campaign c2, treatment 1: three pushes, one of them to ann, one opened; a fourth is over its cap.
    *(decision("PUSH", endpoint_id=endpoint, **PUSHED) for endpoint in ("ann", "fay", "gus")),
    decision("PUSH", "DAILY_CAP", endpoint_id="hal", **PUSHED),
    event(event_type="_campaign.opened_notification", event_timestamp=at(9), channel="PUSH", endpoint_id="fay", **PUSHED),
    # Campaign c3: two texts, one fails; both are charged.
    text("SUCCESS", 1, 645.0, endpoint_id="ida", **TEXTED),
    text("FAILURE", 1, 500.0, endpoint_id="joe", message_id="t2", **TEXTED),
    # Nothing of a campaign.
    mail("send"),
]

# Sent: 3 + 1 e-mails, 3 pushes, 2 texts. Delivered: less ben's hard bounce and joe's failure.
EXPECTED: dict[str, Said] = {
    "successful-delivery-rate": (7, 9),
    "email-open-rate": (2, 3),  # ann's two, of four less ben's
    "push-open-rate": (1, 3),
    # Today ann, whom both c1 and c2 reached, cid, fay, gus and ida; ann a day later. Of each campaign, or run, they are the sum of the rows below.
    "unique-deliveries": (5 + 1, None),
    "successful-deliveries": (7, None),
    "hard-bounce-rate": (1, 4),
    "attempted-deliveries": (9, None),
    "clicks": (2, None),
    "direct-email-opens": (2, None),
    "direct-push-opens": (1, None),
    "sms-spend": (1145, None),
    "email-open-rate-by-people": (1, 3),
    "email-open-rate-of-sent": (2, 4),
    "email-open-rate-of-reported": (2, 2),  # cid's came back, and nobody reported it
    "clicks-by-people": (2, None),
    "hard-bounce-rate-of-delivered": (1, 3),
    # ann's two, three pushes handed over, ida's.
    "delivery-rate-reported": (6, 9),
}


def test_each_kpi_of_campaigns_is_what_a_person_counts() -> None:
    found = kpi_totals("campaign_kpis", LAKE)
    by_campaign = {f"unique-deliveries-grouped-by-{group}": (2 + 1 + 3 + 1, None) for group in ("campaign", "campaign-activity")}
    assert {name: EXPECTED[name.split("-grouped-by-")[0]] for name in found} | by_campaign == found
    assert {name.split("-grouped-by-")[0] for name in found} == set(EXPECTED)


def test_every_name_has_a_row_for_each_run_whatever_it_groups_by() -> None:
    sql = """
        select campaign_id, treatment_id, campaign_activity_id, sum(numerator), sum(denominator)
        from kpis.campaign_kpis where kpi_name = '{}' group by all order by all
    """
    rows: list[tuple[Any, ...]] = [
        ("c1", "0", "run-1", 2, 3),
        ("c1", "0", "run-2", 1, 1),
        ("c2", "1", "run-3", 3, 3),
        ("c3", "0", "run-4", 1, 2),
    ]
    assert ask(sql.format("successful-delivery-rate-grouped-by-campaign-activity"), LAKE) == rows
    assert ask(sql.format("successful-delivery-rate"), LAKE) == rows


@pytest.mark.parametrize(
    ("kpi_name", "rows"),
    [
        # ann gets a mail of c1 and a push of c2 on the 23rd: once of the day, once of each campaign.
        ("unique-deliveries", [(23, None, None, 5), (24, None, None, 1)]),
        ("unique-deliveries-grouped-by-date", [(23, None, None, 5), (24, None, None, 1)]),
        ("unique-deliveries-grouped-by-campaign", [(23, "c1", None, 2), (23, "c2", None, 3), (23, "c3", None, 1), (24, "c1", None, 1)]),
        (
            "unique-deliveries-grouped-by-campaign-activity",
            [(23, "c1", "run-1", 2), (23, "c2", "run-3", 3), (23, "c3", "run-4", 1), (24, "c1", "run-2", 1)],
        ),
    ],
)
def test_unique_deliveries_of_a_day_are_counted_over_what_the_name_groups_by(kpi_name: str, rows: list[tuple[Any, ...]]) -> None:
    sql = f"select day(kpi_date), campaign_id, campaign_activity_id, numerator from kpis.campaign_kpis where kpi_name = '{kpi_name}' order by all"
    assert ask(sql, LAKE) == rows


def test_endpoint_that_got_two_treatments_of_a_campaign_is_one() -> None:
    events = [decision("PUSH"), decision("PUSH", campaign_activity_id="run-2", treatment_id="1")]
    sql = "select numerator from kpis.campaign_kpis where kpi_name = 'unique-deliveries-grouped-by-campaign'"
    assert ask(sql, events) == [(1,)]


@pytest.mark.parametrize(
    ("what", "count"),
    [
        # ann, cid, fay, gus, ida over all campaigns and both days; ann and cid of c1; c1's second run ann alone.
        ("kpi_name = 'unique-deliveries'", 5),
        ("kpi_name = 'unique-deliveries-grouped-by-campaign' and campaign_id = 'c1'", 2),
        ("kpi_name = 'unique-deliveries-grouped-by-campaign-activity' and campaign_activity_id = 'run-2'", 1),
    ],
)
def test_unique_deliveries_of_any_range_are_counted_over_endpoints(what: str, count: int) -> None:
    assert ask(f"select count(distinct endpoint_id) from kpis.unique_endpoints where {what}", LAKE) == [(count,)]


def test_machine_opens_are_people_s_when_the_rule_is_off() -> None:
    sql = "select sum(numerator), sum(denominator) from kpis.campaign_kpis where kpi_name = 'email-open-rate-by-people'"
    assert ask(sql, LAKE) == [(1, 3)]
    assert ask(sql, LAKE, load_settings(machine_opens_enabled=False)) == [(2, 3)]


def test_same_events_twice_at_one_moment_add_clicks_and_nothing_else() -> None:
    found = kpi_totals("campaign_kpis", [*LAKE, *LAKE])
    # A message is sent, delivered, opened and charged once however often that is told. ann's two clicks are four.
    expected = EXPECTED | {"clicks": (4, None), "clicks-by-people": (4, None)}
    by_campaign = {f"unique-deliveries-grouped-by-{group}": (2 + 1 + 3 + 1, None) for group in ("campaign", "campaign-activity")}
    assert {name: expected[name.split("-grouped-by-")[0]] for name in found} | by_campaign == found


@pytest.mark.parametrize(("first", "hours"), CLOCK_CHANGES)
def test_day_on_which_clocks_change_has_what_was_sent_on_it(first: datetime, hours: int) -> None:
    # Four runs reach ann; each e-mail is opened an hour later, which on the day's last millisecond is the next day.
    runs = [
        RUN | {"campaign_activity_id": f"run-{number}", "event_timestamp": moment}
        for number, moment in enumerate(moments_around(first, hours))
    ]
    events = [mail(kind, secs, endpoint_id="ann", **run) for run in runs for kind, secs in (("delivered", 6), ("open", 3600))]
    sql = "select kpi_date, sum(numerator) from kpis.campaign_kpis where kpi_name = '{}' group by 1 order by 1"
    assert ask(sql.format("attempted-deliveries-grouped-by-campaign-activity"), events, BERLIN) == days_around(first, 1, 2)
    assert ask(sql.format("email-open-rate"), events, BERLIN) == days_around(first, 1, 2)
    # ann is one, whatever the length of the day.
    assert ask(sql.format("unique-deliveries"), events, BERLIN) == days_around(first, 1, 1)


def test_opened_push_of_which_no_decision_is_known_counts_as_opened_and_not_as_sent() -> None:
    opened = event(event_type="_campaign.opened_notification", channel="PUSH", **PUSHED)
    found = kpi_totals("campaign_kpis", [opened])
    assert found["direct-push-opens-grouped-by-campaign-activity"] == (1, None)
    assert found["push-open-rate"] == (0, 0)
    assert found["attempted-deliveries-grouped-by-campaign-activity"] == (0, None)


def test_open_of_what_bounced_or_nobody_reported_raises_no_rate_over_the_whole() -> None:
    # Two mails: one is delivered and nobody opens it, one bounces hard and is opened all the same. Sent 2, delivered 1, reported 1.
    found = kpi_totals("campaign_kpis", [*sent("ann", TODAY, "delivered"), *sent("ben", TODAY, "hardbounce", "open")])
    assert found["email-open-rate"] == found["email-open-rate-by-people"] == (0, 1)
    assert found["email-open-rate-of-reported"] == (0, 1)
    assert found["email-open-rate-of-sent"] == (1, 2)
    # The opens alone keep a name of their own.
    assert found["direct-email-opens-grouped-by-campaign-activity"] == (1, None)


def test_two_apps_with_one_campaign_id_are_apart() -> None:
    sql = "select app_id, numerator from kpis.campaign_kpis where kpi_name like 'attempted-deliveries%' order by 1"
    assert ask(sql, [decision("PUSH"), decision("PUSH", app_id="blog")]) == [("blog", 1), ("shop", 1)]


def test_empty_lake_has_no_days() -> None:
    assert ask("from kpis.campaign_kpis", []) == []
