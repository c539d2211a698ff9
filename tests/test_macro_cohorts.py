"""cohorts: what those who first bought in a period have bought since; numbers that a hand can count, and the real ones of CDNOW in test_cdnow.py."""

from datetime import date
from typing import Any

import pytest

from pipeline.config import load_settings
from tests.lake_rows import event, purchase
from tests.macro_calls import ask, nov, on, utc

GRID = "select cohort_date, period_no, cohort_size, buyer_count, purchase_count, revenue from cohorts"


def buy(endpoint_id: str, moment: str, price: float | None, quantity: float | None = None, **given: Any) -> dict[str, Any]:
    """A purchase of an endpoint."""
    return purchase(price, quantity, endpoint_id=endpoint_id, event_timestamp=utc(moment), **given)


def test_first_buyers_of_two_months() -> None:
    # January: a for 10 and b for 2 x 3 = 6. February: a for 4 and again for 1, and c for 20, a cohort of its own. March: nobody.
    events = [
        buy("a", "2026-01-05", 10),
        buy("b", "2026-01-31T23:59:59.999", 3, 2),
        buy("a", "2026-02-01", 4),
        buy("a", "2026-02-28", 1),
        buy("c", "2026-02-14", 20),
    ]
    assert ask("from cohorts('2026-01-01', '2026-03-31', today := '2026-04-01')", events) == [
        # cohort, no, period, size, buyers, rate, purchases, revenue, so far, of each member
        (date(2026, 1, 1), 0, date(2026, 1, 1), 2, 2, 1.0, 2, 16.0, 16.0, 8.0, "EUR", True),
        (date(2026, 1, 1), 1, date(2026, 2, 1), 2, 1, 0.5, 2, 5.0, 21.0, 10.5, "EUR", True),
        (date(2026, 1, 1), 2, date(2026, 3, 1), 2, 0, 0.0, 0, 0.0, 21.0, 10.5, "EUR", True),
        (date(2026, 2, 1), 0, date(2026, 2, 1), 1, 1, 1.0, 1, 20.0, 20.0, 20.0, "EUR", True),
        (date(2026, 2, 1), 1, date(2026, 3, 1), 1, 0, 0.0, 0, 0.0, 20.0, 20.0, "EUR", True),
    ]


class TestBorders:
    @pytest.mark.parametrize(("moment", "period_no"), [("2026-02-28T23:59:59.999", 1), ("2026-03-01", 2), ("2026-03-31T23:59:59.999", 2)])
    def test_first_and_last_moment_of_a_month_are_in_it(self, moment: str, period_no: int) -> None:
        rows = ask(f"{GRID}('2026-01-01', '2026-03-31')", [buy("a", "2026-01-31", 1), buy("a", moment, 1)])
        assert [no for _, no, _, buyers, _, _ in rows if buyers] == [0, period_no]

    def test_day_of_25_hours_is_one_day_in_the_apps_zone(self) -> None:
        # In Berlin the 25th of October 2026 lasts from 22:00 UTC to 23:00 UTC.
        events = [buy("a", "2026-10-24T22:00", 1), buy("a", "2026-10-25T22:59:59.999", 2)]
        call = f"{GRID}('2026-10-24', '2026-10-25', period := 'day')"
        berlin = load_settings(app_zones={"shop": "Europe/Berlin"})
        assert ask(call, events, berlin) == [(date(2026, 10, 25), 0, 1, 1, 2, 3.0)]
        # The control: in UTC the first purchase is of the day before.
        assert ask(call, events)[0] == (date(2026, 10, 24), 0, 1, 1, 1, 1.0)

    def test_two_equal_purchases_at_one_moment_stay_two(self) -> None:
        events = [buy("a", "2026-11-01", 9.5, event_id="same"), buy("a", "2026-11-01", 9.5, event_id="same")]
        assert ask(f"{GRID}('2026-11-01', '2026-11-30')", events) == [(nov(1), 0, 1, 1, 2, 19.0)]

    def test_month_that_to_date_cuts_or_that_is_not_over_is_not_complete(self) -> None:
        call = "select period_date, is_complete from cohorts"
        events = [buy("a", "2026-10-05", 1)]
        october = (date(2026, 10, 1), True)
        assert ask(f"{call}('2026-10-01', '2026-11-29', today := '2027-01-01')", events) == [october, (nov(1), False)]
        assert ask(f"{call}('2026-10-01', '2026-12-31', today := '2026-11-30')", events) == [october, (nov(1), False)]
        assert ask(f"{call}('2026-10-01', '2026-11-30', today := '2026-12-01')", events) == [october, (nov(1), True)]


class TestCohorts:
    def test_first_purchase_is_the_first_ever_and_not_the_first_that_is_asked_for(self) -> None:
        events = [buy("old", "2026-09-01", 1), buy("old", "2026-11-01", 2), buy("new", "2026-11-02", 4)]
        assert ask(f"{GRID}('2026-11-01', '2026-11-30')", events) == [(nov(1), 0, 1, 1, 1, 4.0)]

    def test_other_events_before_the_first_purchase_change_nothing(self) -> None:
        events = [*on("a", "2026-10-01"), buy("a", "2026-11-01", 1)]
        assert ask(f"{GRID}('2026-10-01', '2026-11-30', today := '2026-12-01')", events) == [(nov(1), 0, 1, 1, 1, 1.0)]

    def test_purchases_after_to_date_do_not_count(self) -> None:
        events = [buy("a", "2026-11-01", 1), buy("a", "2026-11-16", 2)]
        assert ask(f"{GRID}('2026-11-01', '2026-11-15')", events) == [(nov(1), 0, 1, 1, 1, 1.0)]

    def test_purchase_without_price_is_one_and_refunds_are_subtracted(self) -> None:
        events = [buy("a", "2026-11-01", None), buy("a", "2026-11-02", 10), buy("a", "2026-11-03", -4)]
        assert ask(f"{GRID}('2026-11-01', '2026-11-30')", events) == [(nov(1), 0, 1, 1, 3, 6.0)]

    def test_purchase_without_an_endpoint_is_nobodys(self) -> None:
        assert ask(f"{GRID}('2026-11-01', '2026-11-30')", [purchase(5, endpoint_id=None, user_id="ann")]) == []

    def test_user_with_two_endpoints_is_one_and_an_endpoint_without_a_user_is_its_own(self) -> None:
        events = [
            buy("phone", "2026-10-01", 1, user_id="ann"),
            buy("laptop", "2026-11-01", 2, user_id="ann"),
            buy("kiosk", "2026-11-01", 4),
        ]
        call = "'2026-10-01', '2026-11-30', today := '2026-12-01'"
        assert [row[2:] for row in ask(f"{GRID}({call})", events)] == [(1, 1, 1, 1.0), (1, 0, 0, 0.0), (2, 2, 2, 6.0)]
        assert [row[2:] for row in ask(f"{GRID}({call}, subject := 'user')", events)] == [(1, 1, 1, 1.0), (1, 1, 1, 2.0), (1, 1, 1, 4.0)]


class TestCurrencies:
    events = (buy("a", "2026-10-01", 1, currency="EUR"), buy("a", "2026-11-01", 2, currency="USD"))
    call = "select cohort_date, cohort_size, revenue, currency from cohorts('2026-10-01', '2026-11-30', today := '2026-12-01'"

    def test_sums_over_several_currencies_have_none(self) -> None:
        assert [row[3] for row in ask(f"{self.call})", self.events)] == [None, None]

    def test_in_one_currency_the_first_purchase_is_the_first_in_it(self) -> None:
        assert ask(f"{self.call}, currency := 'USD')", self.events) == [(nov(1), 1, 2.0, "USD")]


def test_lake_without_purchases_has_no_cohorts() -> None:
    assert ask("from cohorts('2026-11-01', '2026-11-30')", [event()]) == []
