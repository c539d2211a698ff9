"""kpis.names answers every KPI name that Pinpoint had, in its spelling, and says what each number is."""

from typing import Any

import pytest

from tests.lake_rows import at
from tests.message_rows import RUN, ask, decision, mail, text

# Pinpoint's names, set by set, as its documentation lists them: written here apart from the SQL.
DATED = ("", "-grouped-by-date")
CAMPAIGNS = [
    *(f"successful-delivery-rate{by}" for by in DATED),
    *(f"{kpi}{by}" for kpi in ("email-open-rate", "push-open-rate") for by in ("", "-grouped-by-campaign")),
    *(f"unique-deliveries{by}" for by in ("", "-grouped-by-campaign", "-grouped-by-date")),
    "successful-deliveries-grouped-by-campaign",
]
MAILS = "sent delivered opened clicked hard-bounced soft-bounced with-complaints unique-opens unique-clicks delivery-rate complaint-rate"
TXN_EMAILS = [f"txn-emails-{kpi}{by}" for kpi in MAILS.split() for by in DATED]
TXN_SMS = [
    *(f"txn-sms-{kpi}{by}" for kpi in ("sent", "delivered") for by in (*DATED, "-grouped-by-country")),
    *(f"txn-sms-delivery-rate{by}" for by in DATED),
    "txn-sms-error-distribution",
    *(f"txn-sms-{kpi}-by-parts{by}" for kpi in ("sent", "delivered") for by in ("", "-grouped-by-country")),
    *(f"txn-sms-{kpi}-grouped-by-country" for kpi in ("total-price", "average-price", "average-price-by-parts")),
]
RATED = ("hard-bounce-rate", "successful-delivery-rate", "email-open-rate", "push-open-rate", "unique-deliveries")
COUNTED = ("attempted-deliveries", "successful-deliveries", "clicks", "direct-email-opens", "direct-push-opens")
CAMPAIGN = [
    *(f"{kpi}{by}" for kpi in RATED for by in ("", "-grouped-by-campaign-activity")),
    "successful-delivery-rate-grouped-by-date",
    "unique-deliveries-grouped-by-date",
    *(f"{kpi}-grouped-by-campaign-activity" for kpi in COUNTED),
    "sms-spend",
]
FATES = "sent delivered opened clicked hardbounced softbounced complained rejected unsubscribed"
JOURNEY = [name for kpi in FATES.split() for name in (f"journey-emails-{kpi}", f"emails-{kpi}-grouped-by-journey-activity")]
SETS = {"app, campaigns": CAMPAIGNS, "e-mails": TXN_EMAILS, "texts": TXN_SMS, "campaign": CAMPAIGN, "journey": JOURNEY}
PINPOINT = frozenset(name for names in SETS.values() for name in names)


def test_lists_have_84_rows_and_78_names_as_pinpoint_had() -> None:
    assert {name: len(names) for name, names in SETS.items()} == {
        "app, campaigns": 10,
        "e-mails": 22,
        "texts": 16,
        "campaign": 18,
        "journey": 18,
    }
    assert len(PINPOINT) == 78


def test_names_are_pinpoints_78_and_headwaters_own() -> None:
    found = ask("select kpi_name, is_pinpoint from kpis.names", [])
    assert len({name for name, _ in found}) == len(found)
    assert {name for name, is_pinpoint in found if is_pinpoint} == PINPOINT
    assert not PINPOINT & {name for name, is_pinpoint in found if not is_pinpoint}


def test_definitions_say_what_is_counted() -> None:
    # kpis.sent_messages takes texts that failed off what campaigns delivered, and an unsubscribe is no click.
    assert ask("select distinct numerator from kpis.names where measure = 'successful-deliveries'", []) == [
        ("sent less hard bounces, and of texts failures",)
    ]
    assert ask("select distinct unit from kpis.names where measure = 'emails-unsubscribed'", []) == [("unsubscribes",)]


def test_every_name_has_a_family_and_says_what_it_is() -> None:
    sql = "select kpi_name from kpis.names where coalesce(family, meaning, numerator, unit, '') = '' or family is null or meaning is null or unit is null"
    assert ask(sql, []) == []
    assert ask("select kpi_name from kpis.names where (unit = 'rate') <> (denominator is not null) and unit <> 'millicents'", []) == []


def test_every_name_is_answered_by_the_view_of_its_family() -> None:
    journey: dict[str, Any] = {"journey_id": "j1", "journey_run_id": "r1", "journey_activity_id": "a1"}
    events = [mail("open", 60), mail("click", 60), text("FAILURE"), mail("open", 60, **journey), decision("PUSH", **RUN)]
    for family in ("campaign_kpis", "txn_email_kpis", "txn_sms_kpis", "journey_kpis", "hourly_email_kpis"):
        names = ask(f"select kpi_name from kpis.names where family = '{family}' order by 1", [])
        assert ask(f"select distinct kpi_name from kpis.{family} order by 1", events) == names
    assert ask("select count(distinct kpi_name) from kpis.kpi_days", events) == [(90,)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("rate(1, 4)", 0.25),
        ("rate(0, 4)", 0.0),
        ("rate(1, 0)", None),
        ("rate(null, 4)", None),
        ("change(3, 2)", 0.5),
        ("change(1, 2)", -0.5),
        ("change(0, 0)", None),
        ("change(1, null)", None),
        # Refunds before, sales now: 30 more, to 10.
        ("change(20, -10)", 3.0),
    ],
)
def test_rate_and_change_are_null_where_they_would_divide_by_nothing(sql: str, expected: float | None) -> None:
    assert ask(f"select {sql}", []) == [(expected,)]


def test_empty_lake_has_names_and_no_days() -> None:
    assert ask("from kpis.kpi_days", []) == ask("from kpis.unique_endpoints", []) == ask("from kpis.sent_messages", []) == []


def test_endpoints_of_several_days_are_counted_once_over_the_endpoints() -> None:
    # mail-1 opens on the 23rd and on the 24th, mail-2 on the 24th: 1 and 2 a day, 2 in all.
    events = [mail("open", 60), mail("open", 60, event_timestamp=at(days=1), message_id="m2")]
    events += [mail("open", 60, event_timestamp=at(days=1), message_id="m3", endpoint_id="mail-2")]
    name = "kpi_name = 'txn-emails-unique-opens'"
    assert ask(f"select numerator from kpis.kpi_days where {name} order by kpi_date", events) == [(1,), (2,)]
    assert ask(f"select count(distinct endpoint_id) from kpis.unique_endpoints where {name}", events) == [(2,)]
