"""Asks the views of kpis/ for what the ledger knows: charts by day, and KPIs of messages by what caused them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Ask = Callable[[str], list[tuple[Any, ...]]]
Compared = list[tuple[str, Any, Any]]

# Figures of the ledger's days, by the chart that shows them.
CHARTS = {
    "usage_daily_active_endpoints": "active_endpoints",
    "usage_sessions": "sessions",
    "revenue_purchases": "purchases",
    "revenue_total": "revenue",
}
# Days of these add up to months; who came on two days counts once.
SUMMED = ("usage_sessions", "revenue_purchases", "revenue_total")
# Figures of the ledger's messages by the KPI that counts them: of the channels named, all where none is.
CAMPAIGN_KPIS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "attempted-deliveries-grouped-by-campaign-activity": (None, ("sent",)),
    "delivery-rate-reported": (None, ("delivered",)),
    "clicks-by-people": ("EMAIL", ("clicks",)),
    "clicks-grouped-by-campaign-activity": ("EMAIL", ("clicks", "machine_clicks")),
    "direct-push-opens-grouped-by-campaign-activity": ("PUSH", ("opened",)),
    "sms-spend": ("SMS", ("price_millicents",)),
}
JOURNEY_KPIS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "journey-emails-sent": ("EMAIL", ("sent",)),
    "journey-emails-delivered-reported": ("EMAIL", ("delivered",)),
    "journey-emails-opened-by-people": ("EMAIL", ("opened",)),
    "journey-emails-clicked-by-people": ("EMAIL", ("clicks",)),
    "journey-emails-clicked": ("EMAIL", ("clicks", "machine_clicks")),
    "journey-emails-complained": ("EMAIL", ("complained",)),
}
TRANSACTIONAL_KPIS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "txn-emails-sent": ("EMAIL", ("sent",)),
    "txn-emails-delivered-reported": ("EMAIL", ("delivered",)),
    "txn-emails-opened-by-people": ("EMAIL", ("opened",)),
    "txn-emails-clicked-by-people": ("EMAIL", ("clicks",)),
    "txn-emails-clicked": ("EMAIL", ("clicks", "machine_clicks")),
    "txn-emails-with-complaints": ("EMAIL", ("complained",)),
    "txn-sms-sent": ("SMS", ("sent",)),
    "txn-sms-delivered": ("SMS", ("delivered",)),
    "txn-sms-total-price-grouped-by-country": ("SMS", ("price_millicents",)),
}


def compare_kpis(ledger: Mapping[str, Any], ask: Ask) -> Compared:
    """(figure, expected, found), figures as `kpis.<chart>.<day or month>` and `kpis.<KPI>.<campaign, journey or transactional>`.

    Days and months are those of kpis.periods: what clocks that are ahead say of others is in no chart.
    """
    app = str(ledger["app"]).replace("'", "''")
    compared = list(_compare_charts(ledger, ask, app))
    return compared + list(_compare_messages(ledger["messages"], ask, app)) if "messages" in ledger else compared


def _compare_charts(ledger: Mapping[str, Any], ask: Ask, app: str) -> Iterator[tuple[str, Any, Any]]:
    names = ", ".join(f"'{chart}'" for chart in CHARTS)
    shown = "chart, period, period_date::varchar, round(sum(numerator), 2)"
    rows = ask(
        f"""
        select {shown} from kpis.overview where app_id = '{app}' and chart in ({names}) group by chart, period, period_date
        union all
        select {shown} from kpis.revenue where app_id = '{app}' and chart = 'revenue_purchases' group by chart, period, period_date
        """
    )
    found = {(chart, period, day): value for chart, period, day, value in rows}
    periods = ask(f"select period, period_date::varchar from kpis.periods where app_id = '{app}' and period <> 'week' order by all")
    dates: Mapping[str, Mapping[str, Any]] = ledger["dates"]
    for chart, figure in CHARTS.items():
        for period, date in periods:
            if period == "day":
                yield f"kpis.{chart}.{date}", dates.get(date, {}).get(figure, 0), found.get((chart, period, date), 0)
            elif chart in SUMMED:
                # A month, by its name: 2026-10 of 2026-10-01.
                month = date[:7]
                amount = round(sum(day[figure] for name, day in dates.items() if name.startswith(month)), 2)
                yield f"kpis.{chart}.{month}", amount, found.get((chart, period, date), 0)


def _compare_messages(messages: Mapping[str, Mapping[str, Mapping[str, Any]]], ask: Ask, app: str) -> Iterator[tuple[str, Any, Any]]:
    rows = ask(
        f"select kpi_name, coalesce(campaign_id, journey_id, 'transactional'), sum(numerator) from kpis.kpi_days where app_id = '{app}' group by 1, 2"
    )
    found = {(name, cause): value for name, cause, value in rows}
    # Of journeys that send no e-mail no KPI knows; a cause that core does not know either is taken for a campaign, whose KPIs then lack it.
    sources = {journey: JOURNEY_KPIS for (journey,) in ask(f"select journey_id from core.journeys where app_id = '{app}'")}
    sources |= {campaign: CAMPAIGN_KPIS for (campaign,) in ask(f"select campaign_id from core.campaigns where app_id = '{app}'")}
    sources["transactional"] = TRANSACTIONAL_KPIS
    causes = {cause for figures in messages.values() for cause in figures}
    for cause in sorted(causes | sources.keys()):
        for kpi, (channel, figures) in sources.get(cause, CAMPAIGN_KPIS).items():
            of_channels = [messages[name].get(cause, {}) for name in messages if channel in (None, name)]
            expected = sum(counts.get(figure, 0) for counts in of_channels for figure in figures)
            yield f"kpis.{kpi}.{cause}", expected, found.get((kpi, cause), 0)
