"""What KPIs and charts say of a small lake, for tests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from pipeline.config import Settings, load_settings
from tests.lake_rows import Row, memory_lake

# Numerator and denominator; a count has no denominator.
Said = tuple[float, float | None]
BERLIN = load_settings(report_zone="Europe/Berlin")
# The days on which Berlin's clocks are put back and forward: when each begins by UTC, and its hours.
CLOCK_CHANGES = ((datetime(2026, 10, 24, 22, tzinfo=UTC), 25), (datetime(2026, 3, 28, 23, tzinfo=UTC), 23))


def moments_around(first: datetime, hours: int) -> list[datetime]:
    """The last millisecond before a day, its first and its last, and the first one after it."""
    end, millisecond = first + timedelta(hours=hours), timedelta(milliseconds=1)
    return [first - millisecond, first, end - millisecond, end]


def days_around(first: datetime, count: float, of_two: float) -> list[tuple[date, float]]:
    """What a KPI says of the day before, the day, and the day after: `count` and, of two moments, `of_two`."""
    day = first.date() + timedelta(days=1)
    return [(day - timedelta(days=1), count), (day, of_two), (day + timedelta(days=1), count)]


def kpi_totals(family: str, events: Sequence[Row], settings: Settings | None = None) -> Mapping[str, Said]:
    """By KPI name: numerators and denominators of kpis.<family>, added up over all its rows."""
    sql = f"select kpi_name, sum(numerator), sum(denominator) from kpis.{family} group by 1"
    with memory_lake(settings or load_settings(), events) as con:
        return {name: (numerator, denominator) for name, numerator, denominator in con.execute(sql).fetchall()}
