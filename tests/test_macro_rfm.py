"""rfm: how recently, how often and for how much each subject bought, in fifths; numbers that a hand can count."""

from datetime import date

import pytest

from pipeline.config import load_settings
from tests.macro_calls import ask, nov
from tests.test_macro_cohorts import buy

SCORES = "select endpoint_id, recency_score, frequency_score, monetary_score from rfm('2026-11-01', '2026-11-30') order by endpoint_id"


def test_five_buyers_are_five_fifths() -> None:
    # a bought last, most often and for most; e the other way round; each is a fifth of the five.
    events = [buy("a", f"2026-11-{day}", 10) for day in (26, 27, 28, 29, 30)]
    events += [buy("b", f"2026-11-{day}", 10) for day in (22, 23, 24, 25)]
    events += [buy("c", f"2026-11-{day}", 10) for day in (18, 19, 20)]
    events += [buy("d", "2026-11-14", 10), buy("d", "2026-11-15", 10), buy("e", "2026-11-10", 10)]
    assert ask("from rfm('2026-11-01', '2026-11-30')", events) == [
        ("shop", "a", None, nov(30), 0, 5, 50.0, "EUR", 5, 5, 5, "555"),
        ("shop", "b", None, nov(25), 5, 4, 40.0, "EUR", 4, 4, 4, "444"),
        ("shop", "c", None, nov(20), 10, 3, 30.0, "EUR", 3, 3, 3, "333"),
        ("shop", "d", None, nov(15), 15, 2, 20.0, "EUR", 2, 2, 2, "222"),
        ("shop", "e", None, nov(10), 20, 1, 10.0, "EUR", 1, 1, 1, "111"),
    ]


def test_three_scores_are_apart() -> None:
    # Of two, the one that nobody is worse than has 1, the other 1 + floor(5 x 1 / 2) = 3.
    # a bought last; b more often; a for more.
    events = [buy("a", "2026-11-30", 100), buy("b", "2026-11-01", 1), buy("b", "2026-11-02", 1)]
    assert ask(SCORES, events) == [("a", 3, 1, 3), ("b", 1, 3, 1)]


class TestTies:
    def test_equal_values_have_equal_scores_the_lowest_of_their_places(self) -> None:
        # Amounts 1 1 1 1 9: nobody is below the four, who have 1; four are below the fifth, who has 1 + floor(5 x 4 / 5) = 5.
        events = [buy(name, "2026-11-01", price) for name, price in zip("abcde", [1, 1, 1, 1, 9], strict=True)]
        assert [row[3] for row in ask(SCORES, events)] == [1, 1, 1, 1, 5]

    def test_tie_in_the_middle_takes_the_lower_fifth(self) -> None:
        # Amounts 1 2 2 2 9: one is below each of the three, who have 1 + floor(5 x 1 / 5) = 2.
        events = [buy(name, "2026-11-01", price) for name, price in zip("abcde", [1, 2, 2, 2, 9], strict=True)]
        assert [row[3] for row in ask(SCORES, events)] == [1, 2, 2, 2, 5]

    def test_ten_buyers_are_two_a_fifth(self) -> None:
        events = [buy(f"e{number}", "2026-11-01", number) for number in range(10)]
        assert [row[3] for row in ask(SCORES, events)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]

    def test_two_purchases_on_one_day_are_equally_recent(self) -> None:
        events = [buy("a", "2026-11-30T00:00", 1), buy("b", "2026-11-30T23:59:59.999", 1)]
        assert [row[1] for row in ask(SCORES, events)] == [1, 1]

    def test_same_prices_in_another_order_are_the_same_sum(self) -> None:
        # 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in the last bit of a float.
        events = [buy("a", f"2026-11-0{number}", number / 10) for number in (1, 2, 3)]
        events += [buy("b", f"2026-11-0{4 - number}", number / 10) for number in (3, 2, 1)]
        assert [row[3] for row in ask(SCORES, events)] == [1, 1]

    def test_one_buyer_alone_is_the_lowest(self) -> None:
        assert ask(SCORES, [buy("a", "2026-11-01", 1)]) == [("a", 1, 1, 1)]


@pytest.mark.parametrize(
    ("moment", "frequency"),
    [("2026-10-31T23:59:59.999", 0), ("2026-11-01", 1), ("2026-11-30T23:59:59.999", 1), ("2026-12-01", 0)],
)
def test_first_and_last_moment_of_the_days_count(moment: str, frequency: int) -> None:
    rows = ask("select frequency from rfm('2026-11-01', '2026-11-30')", [buy("a", moment, 1)])
    assert rows == [(1,)] * frequency


def test_days_are_those_of_the_apps_zone_over_the_change_of_its_clocks() -> None:
    # In Berlin the 25th of October 2026 ends at 23:00 UTC.
    events = [buy("a", "2026-10-25T22:59:59.999", 1), buy("b", "2026-10-25T23:00", 1)]
    call = "select endpoint_id, last_purchase_date, recency_days from rfm('2026-10-01', '2026-10-31') order by 1"
    berlin = load_settings(app_zones={"shop": "Europe/Berlin"})
    assert ask(call, events, berlin) == [("a", date(2026, 10, 25), 6), ("b", date(2026, 10, 26), 5)]
    # The control: in UTC both are of one day.
    assert [row[2] for row in ask(call, events)] == [6, 6]


def test_user_with_two_endpoints_is_one_and_an_endpoint_without_a_user_is_its_own() -> None:
    events = [buy("phone", "2026-11-01", 1, user_id="ann"), buy("laptop", "2026-11-02", 2, user_id="ann"), buy("ann", "2026-11-03", 4)]
    call = "select endpoint_id, user_id, frequency, monetary from rfm('2026-11-01', '2026-11-30', subject := 'user') order by monetary"
    assert ask(call, events) == [(None, "ann", 2, 3.0), ("ann", None, 1, 4.0)]


def test_each_app_is_scored_by_itself_whether_it_is_asked_alone_or_not() -> None:
    events = [buy("a", "2026-11-01", 1), buy("b", "2026-11-01", 2), buy("c", "2026-11-01", 1000, app_id="blog")]
    call = "select endpoint_id, monetary_score from rfm('2026-11-01', '2026-11-30'{}) order by 1"
    assert ask(call.format(""), events) == [("a", 1), ("b", 3), ("c", 1)]
    assert ask(call.format(", app := 'shop'"), events) == [("a", 1), ("b", 3)]


def test_one_currency_may_be_asked_for_and_several_have_none() -> None:
    events = [buy("a", "2026-11-01", 1, currency="EUR"), buy("a", "2026-11-02", 2, currency="USD")]
    call = "select monetary, currency from rfm('2026-11-01', '2026-11-30'{})"
    assert ask(call.format(""), events) == [(3.0, None)]
    assert ask(call.format(", currency := 'USD'"), events) == [(2.0, "USD")]


def test_purchase_without_price_counts_and_adds_nothing() -> None:
    assert ask("select frequency, monetary from rfm('2026-11-01', '2026-11-30')", [buy("a", "2026-11-01", None)]) == [(1, 0.0)]
