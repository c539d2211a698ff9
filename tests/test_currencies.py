"""Money without a currency is in no currency: whatever names the currency of several purchases names it only when all of their money has it."""

from typing import Any

import pytest

from tests.lake_rows import purchase
from tests.macro_calls import ask
from tests.macro_values import value

DAYS = "'2026-11-01', '2026-11-30'"


def nameless(price: float | None) -> dict[str, Any]:
    """A purchase that names no currency."""
    return purchase(price, attributes={})


@pytest.mark.parametrize(
    ("purchases", "currency"),
    [
        ("('EUR', 5), ('EUR', null)", "EUR"),
        ("('EUR', 5), ('USD', 5)", None),
        ("('EUR', 5), (null, 10)", None),
        ("('EUR', 5), ('', 10)", None),
        # A refund is money too, and so is what is named and free.
        ("('EUR', 5), (null, -10)", None),
        ("('EUR', 5), ('USD', 0)", None),
        ("('EUR', null)", "EUR"),
        # Without a price nothing is added in no currency.
        ("('EUR', 5), (null, null), ('', 0)", "EUR"),
        ("(null, 10)", None),
        ("('', 10)", None),
        ("(null, null)", None),
    ],
)
def test_currency_is_common_when_all_that_has_a_price_names_it(purchases: str, currency: str | None) -> None:
    assert value(f"(select common_currency(currency, revenue) from (values {purchases}) as sold (currency, revenue))") == currency


@pytest.mark.parametrize(
    "sql",
    [
        "select revenue, currency from core.endpoint_days",
        f"select revenue, currency from cohorts({DAYS})",
        f"select monetary, currency from rfm({DAYS})",
    ],
    ids=["endpoint_days", "cohorts", "rfm"],
)
def test_sum_with_money_of_no_currency_names_none(sql: str) -> None:
    assert ask(sql, [nameless(10), purchase(5)]) == [(15, None)]
    # The twin: without a price it is money of euros alone.
    assert ask(sql, [nameless(None), purchase(5)]) == [(5, "EUR")]


def test_charts_of_revenue_have_one_part_of_money_without_a_currency() -> None:
    sql = "select part, value from kpis.revenue where chart = 'revenue_total' and period = 'day' order by 1"
    assert ask(sql, [nameless(10), purchase(7, currency=""), purchase(5)]) == [("EUR", 5), ("unknown", 17)]
