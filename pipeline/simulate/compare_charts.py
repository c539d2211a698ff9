"""Asks charts for what the ledger knows of days, weeks and months."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Ask = Callable[[str], list[tuple[Any, ...]]]
Figures = Mapping[str, Mapping[str, Any]]

# Figures of the ledger's days by the chart that shows them: numerator, and denominator of a rate.
CHARTS: dict[str, tuple[str, str]] = {
    "usage_daily_active_endpoints": ("active_endpoints", ""),
    "usage_daily_active_users": ("active_users", ""),
    "usage_sessions": ("sessions", ""),
    "usage_sessions_per_endpoint": ("sessions", "active_endpoints"),
    "revenue_total": ("revenue", ""),
    "revenue_per_endpoint": ("revenue", "active_endpoints"),
    "revenue_paying_users": ("paying_users", ""),
    "revenue_units_sold": ("units", ""),
    "revenue_purchases": ("purchases", ""),
    "revenue_purchases_per_endpoint": ("purchases", "buyers"),
    "campaigns_opt_out_rate": ("opted_out_endpoints", "reached_endpoints"),
}
# Days of these add up to weeks and months; who came on two days counts once.
SUMMED = ("sessions", "purchases", "units", "revenue")


def compare_charts(ledger: Mapping[str, Any], ask: Ask, app: str) -> Iterator[tuple[str, Any, Any]]:
    """(figure, expected, found), figures as `kpis.<chart>.<day>`, `kpis.<chart>.week <Monday>`, `kpis.<chart>.<month>`; of rates `.denominator` too.

    Periods are those of kpis.periods. A week or month on some day of which something happened that no day of the calendar shows, for a clock was
    ahead, is left out: whom it counts the ledger cannot tell.
    """
    found = _ask_charts(ask, app)
    periods = ask(f"select period, period_date::varchar, last_date::varchar from kpis.periods where app_id = '{app}' order by all")
    calendar = {first for period, first, _ in periods if period == "day"}
    dates: Figures = ledger["dates"]
    outside = [day for day in dates if day not in calendar]
    for period, first, last in periods:
        if any(first <= day <= last for day in outside):
            continue
        inside = [figures for day, figures in dates.items() if first <= day <= last]
        whole = ledger.get(f"{period}s", {}) if period != "day" else dates
        name = {"day": first, "week": f"week {first}", "month": first[:7]}[period]
        for chart, parts in CHARTS.items():
            for place, figure in enumerate(parts):
                amounts = inside if figure in SUMMED else [whole.get(first, {})]
                # A ledger of an earlier version lacks some.
                if figure and _knows(figure, dates if figure in SUMMED or period == "day" else ledger.get(f"{period}s")):
                    expected = round(sum(amount.get(figure, 0) for amount in amounts), 2)
                    yield f"kpis.{chart}.{name}{'.denominator' * place}", expected, found.get((chart, period, first), (0, 0))[place] or 0


def _knows(figure: str, periods: Figures | None) -> bool:
    return periods is not None and (not periods or any(figure in figures for figures in periods.values()))


def _ask_charts(ask: Ask, app: str) -> dict[tuple[str, str, str], tuple[float, float]]:
    shown = "chart, period, period_date::varchar, round(sum(numerator), 2), sum(denominator)"
    rows = ask(
        " union all ".join(
            f"select {shown} from kpis.{page} where app_id = '{app}' and chart in ({_list(page)}) group by all"
            for page in ("usage", "revenue", "campaigns")
        )
    )
    return {(chart, period, day): (numerator, denominator) for chart, period, day, numerator, denominator in rows}


def _list(page: str) -> str:
    names: Iterable[str] = (chart for chart in CHARTS if chart.startswith(page))
    return ", ".join(f"'{chart}'" for chart in names)
