"""The benchmark of answers: every question that it asks is answered, over a lake of as many events as it says. No times."""

from collections.abc import Iterator

import pytest

from pipeline.ask.checks import list_checks
from pipeline.ask.reader import Reader
from pipeline.config import load_settings
from tests.bench.answer_lake import write_answer_lake
from tests.bench.answers import KPIS, MACROS, PAGES, ask_all
from tests.folder_lake import folder_reader
from tests.lake_rows import library

COUNT = 6_000
# Macros that other macros and views are made of; what is left is what people ask.
ASKED_THROUGH_OTHERS = {
    "active_days",
    "check_names",
    "endpoint_users",
    "report_periods",
    "subject_moments",
    "subject_purchases",
    "unusual_share",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Reader, int]]:
    """A reader over twice the events that are simulated, and how many there are."""
    folder = tmp_path_factory.mktemp("answers")
    settings = load_settings(home=folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.bench.answer_lake.SIMULATED_MAX", COUNT // 2)
        count = write_answer_lake(folder, settings, COUNT)
    with folder_reader(folder, settings) as reader:
        yield reader, count


def test_lake_has_as_many_events_as_it_says_each_landed_once(lake: tuple[Reader, int]) -> None:
    reader, count = lake
    assert count >= COUNT
    assert reader.rows("select count(*), count(distinct (_partition, _offset)) from core.events") == [(count, count)]
    assert reader.rows("select count(*) from core.endpoint_days as days anti join core.endpoints using (app_id, endpoint_id)") == [(0,)]


def test_every_question_is_answered_and_the_slowest_of_each_kind_is_named(lake: tuple[Reader, int]) -> None:
    rows = {row.what: row for row in ask_all(*lake, secs_max=300)}
    assert [(row.what, row.note) for row in rows.values() if row.is_failed] == []
    questions = [f"page {name}" for name in PAGES] + [f"macro {name}" for name in MACROS] + [f"kpi {name}" for name in KPIS]
    assert [name for name in questions if not rows[name].value or rows[name].note.startswith("0 rows")] == []
    assert [f"slowest {kind}" for kind in ("page", "macro", "kpi", "check") if rows[f"slowest {kind}"].budget is None] == []
    assert rows["headwater check"].note.startswith(f"{len(list_checks(library().views))} checks")


def test_every_macro_of_a_table_that_people_ask_is_measured() -> None:
    assert library().table_macros - ASKED_THROUGH_OTHERS == MACROS.keys()
