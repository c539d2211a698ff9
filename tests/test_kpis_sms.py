"""KPIs of transactional texts over one small lake, every number worked out by hand."""

from datetime import datetime, timedelta

import pytest

from tests.kpi_rows import BERLIN, CLOCK_CHANGES, Said, days_around, kpi_totals, moments_around
from tests.message_rows import RUN, ask, text

GERMAN = {"iso_country_code": "DE", "number_of_message_parts": "1"}
# t1: to the US in two parts, 645 millicents, told of twice. t2: there too, failed, charged 645. t3: to Germany in one part, 900, only buffered.
# t4: to Germany, buffered and delivered for 700; t5: nobody says where to, in how many parts, at what price, and it failed.
UNKNOWN = {"iso_country_code": None, "number_of_message_parts": None, "record_status": None}
LAKE = [
    text("BUFFERED", 1),
    text("SUCCESS", 5, 645.0),
    text("SUCCESS", 9, 645.0),
    text("FAILURE", 5, 645.0, message_id="t2", attributes={"record_status": "UNREACHABLE"}),
    text("BUFFERED", 5, 900.0, message_id="t3", attributes=GERMAN),
    text("BUFFERED", 5, message_id="t4", attributes=GERMAN),
    text("SUCCESS", 6, 700.0, message_id="t4", attributes=GERMAN),
    text("FAILURE", 5, message_id="t5", attributes=UNKNOWN),
    # Of an answer by which somebody opts out no text is known; a campaign's text is not transactional.
    text("OPTOUT", 5, message_id="t6"),
    text("SUCCESS", 5, 645.0, message_id="t7", **RUN),
]

EXPECTED: dict[str, Said] = {
    "sent": (5, None),
    "delivered": (2, None),  # t1, t4
    "delivery-rate": (2, 5),
    "error-distribution": (2, None),  # t2, t5
    "sent-by-parts": (2 + 2 + 1 + 1 + 1, None),
    "delivered-by-parts": (2 + 1, None),
    "total-price": (645 + 645 + 900 + 700, None),
    "average-price": (2890, 5),
    "average-price-by-parts": (2890, 7),
}
BY_COUNTRY = {
    "sent": [("DE", 2, None), ("US", 2, None), ("unknown", 1, None)],
    "delivered": [("DE", 1, None), ("US", 1, None), ("unknown", 0, None)],
    "sent-by-parts": [("DE", 2, None), ("US", 4, None), ("unknown", 1, None)],
    "delivered-by-parts": [("DE", 1, None), ("US", 2, None), ("unknown", 0, None)],
    "total-price": [("DE", 1600, None), ("US", 1290, None), ("unknown", 0, None)],
    "average-price": [("DE", 1600, 2), ("US", 1290, 2), ("unknown", 0, 1)],
    "average-price-by-parts": [("DE", 1600, 2), ("US", 1290, 4), ("unknown", 0, 1)],
}


def test_each_kpi_of_texts_is_what_a_person_counts() -> None:
    found = kpi_totals("txn_sms_kpis", LAKE)
    assert {name: EXPECTED[name.removeprefix("txn-sms-").split("-grouped-by-")[0]] for name in found} == found
    assert {name.removeprefix("txn-sms-").split("-grouped-by-")[0] for name in found} == set(EXPECTED)


@pytest.mark.parametrize(("kpi", "rows"), BY_COUNTRY.items())
def test_kpi_of_texts_by_country_is_what_a_person_counts(kpi: str, rows: list[tuple[str, float, float | None]]) -> None:
    sql = f"""
        select country, sum(numerator), sum(denominator) from kpis.txn_sms_kpis
        where kpi_name = 'txn-sms-{kpi}-grouped-by-country' group by 1 order by 1
    """
    assert ask(sql, LAKE) == rows


def test_errors_are_told_apart_by_what_the_carrier_said() -> None:
    sql = "select record_status, numerator from kpis.txn_sms_kpis where kpi_name = 'txn-sms-error-distribution' order by 1"
    assert ask(sql, LAKE) == [("UNKNOWN", 1), ("UNREACHABLE", 1)]


def test_same_texts_told_of_twice_at_one_moment_change_nothing() -> None:
    # A text is sent, delivered and charged once, in its parts, however often that is told.
    assert kpi_totals("txn_sms_kpis", [*LAKE, *LAKE]) == kpi_totals("txn_sms_kpis", LAKE)
    sql = "select sum(numerator), sum(denominator) from kpis.txn_sms_kpis where kpi_name = 'txn-sms-average-price-by-parts-grouped-by-country'"
    assert ask(sql, [*LAKE, *LAKE]) == [(2890, 7)]


@pytest.mark.parametrize(("first", "hours"), CLOCK_CHANGES)
def test_day_on_which_clocks_change_has_what_was_sent_on_it(first: datetime, hours: int) -> None:
    # Four texts of 100 millicents, each buffered, and delivered an hour later, which on the day's last millisecond is the next day.
    events = [
        text(kind, price=100.0, message_id=f"t{number}", event_timestamp=moment + later)
        for number, moment in enumerate(moments_around(first, hours))
        for kind, later in (("BUFFERED", timedelta()), ("SUCCESS", timedelta(hours=1)))
    ]
    sql = "select kpi_date, sum(numerator) from kpis.txn_sms_kpis where kpi_name = 'txn-sms-{}' group by 1 order by 1"
    assert ask(sql.format("sent"), events, BERLIN) == ask(sql.format("delivered"), events, BERLIN) == days_around(first, 1, 2)
    assert ask(sql.format("total-price-grouped-by-country"), events, BERLIN) == days_around(first, 100, 200)


def test_empty_lake_has_no_days() -> None:
    assert ask("from kpis.txn_sms_kpis", []) == []
