"""What retention and its kin are asked wrongly is refused with what was expected, and an empty lake answers with an empty table."""

from collections.abc import Iterator

import duckdb
import pytest

from pipeline.ask.reader import open_empty_reader
from pipeline.config import load_settings
from tests.lake_rows import event, memory_lake, purchase

MACROS = ["retention", "weekly_return", "stickiness", "lifecycle", "cohorts", "rfm"]
WITH_PERIOD = ["retention", "lifecycle", "cohorts"]
WITH_TODAY = [name for name in MACROS if name != "rfm"]
DAYS = "'2026-11-01', '2026-11-30'"

# Which macros, the arguments, what the error says.
WRONG = [
    (MACROS, "'2026-11-30', '2026-11-01'", "from_date.*2026-11-30.*to_date.*2026-11-01"),
    (MACROS, "'yesterday', '2026-11-30'", "from_date.*yesterday.*expected"),
    (MACROS, "'2026-11-01', '2026-11-31'", "to_date.*2026-11-31.*expected"),
    (MACROS, "null, '2026-11-30'", "from_date.*expected"),
    (MACROS, f"{DAYS}, subject := 'device'", "subject.*'device'.*endpoint.*user"),
    (MACROS, f"{DAYS}, subject := null", "subject.*endpoint.*user"),
    (WITH_PERIOD, f"{DAYS}, period := 'weekly'", "period.*'weekly'.*day.*week.*month"),
    (WITH_PERIOD, f"{DAYS}, period := null", "period.*day.*week.*month"),
    (WITH_TODAY, f"{DAYS}, today := 'today'", "today.*'today'.*expected"),
    (["retention"], f"{DAYS}, start_event := 'view[category='", "view\\[category=.*expected"),
    (["retention"], f"{DAYS}, return_event := ''", "expected a type of event"),
    (["retention"], f"{DAYS}, kind := 'new'", "kind.*'new'.*first_time.*recurring"),
]
CALLS = [(f"{name}({arguments})", text) for names, arguments, text in WRONG for name in names]


@pytest.fixture(scope="module", params=["empty", "not empty"])
def lake(request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """A lake without a row, and one with some."""
    with memory_lake(load_settings(), [] if request.param == "empty" else [event(), purchase(1)]) as con:
        yield con


@pytest.mark.parametrize(("call", "text"), CALLS, ids=[call for call, _ in CALLS])
def test_wrong_argument_is_refused_also_by_an_empty_lake(lake: duckdb.DuckDBPyConnection, call: str, text: str) -> None:
    # Which columns are asked for does not matter.
    for sql in (f"from {call}", f"select count(*) from {call}"):
        with pytest.raises(duckdb.InvalidInputException, match=text):
            lake.execute(sql)


@pytest.mark.parametrize("name", WITH_TODAY)
def test_wrong_argument_is_refused_also_before_the_first_day_has_come(lake: duckdb.DuckDBPyConnection, name: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="subject is 'device'"):
        lake.execute(f"from {name}({DAYS}, today := '2026-01-01', subject := 'device')")


@pytest.mark.parametrize("name", MACROS)
def test_days_may_be_dates_as_well_as_texts(lake: duckdb.DuckDBPyConnection, name: str) -> None:
    texts, dates = f"from {name}({DAYS})", f"from {name}(date '2026-11-01', date '2026-11-30')"
    assert lake.execute(texts).fetchall() == lake.execute(dates).fetchall()


def test_people_may_ask_and_an_empty_lake_answers_with_an_empty_table() -> None:
    with open_empty_reader(load_settings()) as reader:
        for name in MACROS:
            with reader.ask(f"select * from {name}({DAYS}, app := 'shop')") as answer:
                assert answer.fetchall() == []
