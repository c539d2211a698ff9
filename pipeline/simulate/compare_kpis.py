"""Asks the views of kpis/ for what the ledger knows: charts by period, and KPIs of messages by what caused them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.simulate.compare_charts import Ask, compare_charts
from pipeline.simulate.kpi_measures import MEASURES

Compared = list[tuple[str, Any, Any]]


def compare_kpis(ledger: Mapping[str, Any], ask: Ask) -> Compared:
    """(figure, expected, found), figures as `kpis.<chart>.<period>` and `kpis.<KPI>.<campaign, journey or transactional>`; of rates `.denominator` too.

    Periods are those of kpis.periods: what clocks that are ahead say of other days is in no chart.
    """
    app = str(ledger["app"]).replace("'", "''")
    compared = list(compare_charts(ledger, ask, app))
    return compared + list(_compare_messages(ledger["messages"], ask, app)) if "messages" in ledger else compared


def _compare_messages(messages: Mapping[str, Mapping[str, Mapping[str, Any]]], ask: Ask, app: str) -> Iterator[tuple[str, Any, Any]]:
    found = _ask_kpis(ask, app)
    names = ask("select family, kpi_name, measure from kpis.names order by all")
    # Of journeys that send no e-mail no KPI knows; a cause that core does not know either is taken for a campaign, whose KPIs then lack it.
    families = {journey: ("journey_kpis",) for (journey,) in ask(f"select journey_id from core.journeys where app_id = '{app}'")}
    families |= {campaign: ("campaign_kpis",) for (campaign,) in ask(f"select campaign_id from core.campaigns where app_id = '{app}'")}
    causes = {cause for figures in messages.values() for cause in figures}
    # A ledger of an earlier version lacks some figures, and one of nothing all.
    known = {figure for figures in messages.values() for counts in figures.values() for figure in counts}
    for cause in sorted(causes | families.keys() | {"transactional"}):
        own = ("txn_email_kpis", "txn_sms_kpis") if cause == "transactional" else families.get(cause, ("campaign_kpis",))
        for family, kpi, measure in names:
            if family not in own:
                continue
            made = MEASURES[family][measure]
            of_channels = [messages[name].get(cause, {}) for name in messages if made.channel in (None, name)]
            for place, parts in enumerate((made.numerator, (made.denominator,))):
                if parts != ("",) and (not known or known.issuperset(parts)):
                    expected = sum(counts.get(figure, 0) for counts in of_channels for figure in parts)
                    yield f"kpis.{kpi}.{cause}{'.denominator' * place}", expected, found.get((kpi, cause), (0, 0))[place] or 0


def _ask_kpis(ask: Ask, app: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Numerators and denominators by KPI and cause, each endpoint once in those that count endpoints."""
    cause = "coalesce(campaign_id, journey_id, 'transactional')"
    added = ask(f"select kpi_name, {cause}, sum(numerator), sum(denominator) from kpis.kpi_days where app_id = '{app}' group by 1, 2")
    counted = ask(
        f"""
        select kpi_name, coalesce(campaign_id, 'transactional'), count(distinct endpoint_id), null
        from kpis.unique_endpoints
        where app_id = '{app}'
        group by 1, 2
        """
    )
    return {(kpi, cause): (numerator, denominator) for kpi, cause, numerator, denominator in (*added, *counted)}
