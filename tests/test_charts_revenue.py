"""Charts of revenue: what nobody's purchases add to, and what they leave alone."""

from typing import Any

from tests.lake_rows import event, purchase
from tests.message_rows import ask

# Phone-1 buys a mug for 10. Two mugs for 2.50 each have an empty endpoint, which is none; a server says that u9 bought for 100, and on no endpoint.
BOUGHT = [purchase(10), purchase(2.5, 2, endpoint_id=""), purchase(100, endpoint_id=None, user_id="u9")]


def charted(events: list[Any]) -> dict[str, tuple[float, float | None]]:
    sql = "select chart[9:], numerator, denominator from kpis.revenue where period = 'day'"
    return {chart: (numerator, denominator) for chart, numerator, denominator in ask(sql, events)}


def test_purchases_without_an_endpoint_are_in_the_sums_and_on_neither_side_of_a_rate() -> None:
    assert charted(BOUGHT) == {
        "total": (115, None),
        "units_sold": (4, None),
        "purchases": (3, None),
        "paying_users": (1, None),
        "per_endpoint": (10, 1),
        "per_paying_user": (10, 1),
        "units_per_endpoint": (1, 1),
        "purchases_per_endpoint": (1, 1),
    }


def test_nobody_s_purchases_alone_give_no_rate() -> None:
    found = charted(BOUGHT[1:])
    assert found["total"] == (105, None)
    assert {found[chart] for chart in found if "per_" in chart} == {(0, 0)}
    # Who came and bought nothing brought nothing.
    assert charted([event(), *BOUGHT[1:]])["per_endpoint"] == (0, 1)
