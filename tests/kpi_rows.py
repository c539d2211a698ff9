"""What KPIs and charts say of a small lake, for tests."""

from collections.abc import Mapping, Sequence

from pipeline.config import Settings, load_settings
from tests.lake_rows import Row, memory_lake

# Numerator and denominator; a count has no denominator.
Said = tuple[float, float | None]


def kpi_totals(family: str, events: Sequence[Row], settings: Settings | None = None) -> Mapping[str, Said]:
    """By KPI name: numerators and denominators of kpis.<family>, added up over all its rows."""
    sql = f"select kpi_name, sum(numerator), sum(denominator) from kpis.{family} group by 1"
    with memory_lake(settings or load_settings(), events) as con:
        return {name: (numerator, denominator) for name, numerator, denominator in con.execute(sql).fetchall()}
