"""Real purchases: the 69,659 of CDNOW's 23,570 customers, 2,500,315.63 in revenue, and the cohorts of their first months."""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.config import load_settings
from pipeline.example import TRUE_FIGURES, fetch_cdnow
from tests.lake_rows import memory_lake, purchase

README = Path(__file__).parent.parent / "README.md"
Order = tuple[str, date, Decimal]
Month = tuple[int, int]


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> list[Order]:
    """(customer, day, dollars) of each line of the file."""
    lines = fetch_cdnow(tmp_path_factory.mktemp("cdnow")).read_text().splitlines()[1:]
    return [
        (customer, datetime.strptime(day, "%Y%m%d").date(), Decimal(dollars))
        for customer, day, _, dollars in (line.split() for line in lines)
    ]


@pytest.fixture(scope="module")
def lake(orders: list[Order]) -> Iterator[duckdb.DuckDBPyConnection]:
    """The orders as events, as deploy/local/cdnow.toml maps them."""
    events: list[dict[str, Any]] = [
        purchase(
            float(dollars),
            1,
            currency="USD",
            app_id="cdnow",
            source="import:CDNOW_master.txt",
            endpoint_id=customer,
            event_timestamp=datetime(day.year, day.month, day.day, tzinfo=UTC),
        )
        for customer, day, dollars in orders
    ]
    with memory_lake(load_settings(), events) as con:
        yield con


def test_figures_are_those_that_are_true(lake: duckdb.DuckDBPyConnection) -> None:
    sql = "select sum(purchase_count), sum(cohort_size) filter (where period_no = 0), round(sum(revenue), 2)"
    assert lake.execute(f"{sql} from cohorts('1997-01-01', '1998-06-30')").fetchall() == [tuple(TRUE_FIGURES.values())]


def test_cohorts_of_first_months_are_those_counted_from_the_text(lake: duckdb.DuckDBPyConnection, orders: list[Order]) -> None:
    first: dict[str, date] = {}
    for customer, day, _ in orders:
        first[customer] = min(day, first.get(customer, day))
    sizes: dict[Month, int] = defaultdict(int)
    for day in first.values():
        sizes[month(day)] += 1
    buyers: dict[tuple[Month, Month], set[str]] = defaultdict(set)
    counts: dict[tuple[Month, Month], int] = defaultdict(int)
    dollars: dict[tuple[Month, Month], Decimal] = defaultdict(Decimal)
    for customer, day, paid in orders:
        cell = month(first[customer]), month(day)
        buyers[cell].add(customer)
        counts[cell] += 1
        dollars[cell] += paid

    months = [(1997 + number // 12, 1 + number % 12) for number in range(18)]
    expected = []
    for cohort in sorted(sizes):
        so_far = Decimal(0)
        for number, later in enumerate(months[months.index(cohort) :]):
            cell = cohort, later
            so_far += dollars[cell]
            expected.append((date(*cohort, 1), number, sizes[cohort], len(buyers[cell]), counts[cell], float(dollars[cell]), float(so_far)))

    columns = "cohort_date, period_no, cohort_size, buyer_count, purchase_count, round(revenue, 2), round(cumulative_revenue, 2)"
    assert lake.execute(f"select {columns} from cohorts('1997-01-01', '1998-06-30')").fetchall() == expected
    # Everybody in the file bought first in the first quarter of 1997: three cohorts, over 18, 17 and 16 months.
    assert [size for _, size in sorted(sizes.items())] == [7846, 8476, 7248]
    assert len(expected) == 18 + 17 + 16


def test_customers_of_january_and_what_became_of_them(lake: duckdb.DuckDBPyConnection, orders: list[Order]) -> None:
    rows = lake.execute(
        """
        select cohort_date, period_no, cohort_size, returned_count, is_complete
        from retention('1997-01-01', '1997-03-15', period := 'month')
        -- The first cohort, from its first month on.
        where cohort_date = date '1997-01-01'
        order by period_no
        """
    ).fetchall()
    january = {customer for customer, day, _ in orders if month(day) == (1997, 1)}
    # Of March the question sees the days up to the 15th.
    came = [
        {customer for customer, day, _ in orders if month(day) == (1997, number) and day <= date(1997, 3, 15)} & january
        for number in (1, 2, 3)
    ]
    # Everybody comes in the month of the start; so many of them in February, and in half of March.
    assert [len(each) for each in came] == [7846, 1157, 586]
    assert rows == [(date(1997, 1, 1), number, 7846, len(each), number < 2) for number, each in enumerate(came)]


def test_scores_of_customers_are_fifths(lake: duckdb.DuckDBPyConnection, orders: list[Order]) -> None:
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for customer, _, paid in orders:
        spent[customer] += paid
    ranked = sorted(spent.values())
    places = {value: place for place, value in reversed(list(enumerate(ranked)))}
    expected = {customer: 1 + 5 * places[value] // len(ranked) for customer, value in spent.items()}
    assert dict(lake.execute("select endpoint_id, monetary_score from rfm('1997-01-01', '1998-06-30')").fetchall()) == expected


def readme_questions() -> list[tuple[str, str, str]]:
    """(SQL, answer, file) of each question that the README answers."""
    return re.findall(r"^\| [^|`]+ \| `([^`]+)` \| ([^|]+) \| \[\w+\]\((queries/[^)]+)\) \|$", README.read_text(), re.MULTILINE)


def test_readme_has_five_questions() -> None:
    assert len(readme_questions()) == 5


@pytest.mark.parametrize(("sql", "answer", "file"), readme_questions())
def test_readme_answers_its_questions(lake: duckdb.DuckDBPyConnection, sql: str, answer: str, file: str) -> None:
    (row,) = lake.execute(sql).fetchall()
    assert " · ".join(f"{value:,}" for value in row) == answer
    path = README.parent / file
    name = path.stem if path.parent.name == "macros" else f"{path.parent.name}.{path.stem}"
    assert path.exists()
    assert re.search(rf"\bfrom {name}\b", sql)


def month(day: date) -> Month:
    """The month of a day."""
    return day.year, day.month
