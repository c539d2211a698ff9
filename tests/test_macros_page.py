"""queries/MACROS.md: each example's answer is what its query says of its rows."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.ask.layers import FOLDER
from pipeline.ask.output_formats import Format, write_answer
from pipeline.config import load_settings
from schemas.tables import load_table
from tests.lake_rows import event, memory_lake

PAGE = FOLDER / "MACROS.md"
NAMES = ["funnel", "trend", "paths", "attribution", "lift", "retention", "weekly_return", "cohorts", "stickiness", "lifecycle", "rfm"]
COLUMNS = set(load_table("events").column_names)


def section(name: str) -> str:
    """What stands under the name of a macro."""
    return re.split(rf"^## {name}\n", PAGE.read_text(), flags=re.MULTILINE)[1].split("\n## ")[0]


def events(table: str) -> list[dict[str, Any]]:
    """The events of a table: one at each time of a row; empty cells are not sent."""
    names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    found = []
    for row in rows:
        cells = {name: cell for name, cell in zip(names, row, strict=True) if cell}
        moments = cells.pop("event_timestamp").split(", ")
        given: dict[str, Any] = {name: cell for name, cell in cells.items() if name in COLUMNS}
        given["metrics"] = {name: float(cell) for name, cell in cells.items() if name not in COLUMNS and name.startswith("_")}
        given["attributes"] = {name: cell for name, cell in cells.items() if name not in COLUMNS and not name.startswith("_")}
        found += [event(event_timestamp=datetime.fromisoformat(moment).replace(tzinfo=UTC), **given) for moment in moments]
    return found


def test_page_has_a_section_and_a_question_for_each() -> None:
    text = PAGE.read_text()
    assert re.findall(r"^## (\w+)$", text, flags=re.MULTILINE) == NAMES
    assert re.findall(r"\| \[(\w+)\]\(#\1\) \|$", text, flags=re.MULTILINE) == NAMES


def test_rows_of_an_example_are_an_event_a_time() -> None:
    text = "| endpoint_id | event_timestamp | _item_price | screen |\n| --- | --- | --- | --- |\n| a | 2026-11-01, 2026-11-02T10:30 | 2 | |\n| b | 2026-11-03 | | home |\n"
    assert [(row["endpoint_id"], row["event_timestamp"], row["metrics"], row["attributes"]) for row in events(text)] == [
        ("a", datetime(2026, 11, 1, tzinfo=UTC), {"_item_price": 2.0}, {}),
        ("a", datetime(2026, 11, 2, 10, 30, tzinfo=UTC), {"_item_price": 2.0}, {}),
        ("b", datetime(2026, 11, 3, tzinfo=UTC), {}, {"screen": "home"}),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_answer_of_the_page_is_the_answer(name: str, tmp_path: Path) -> None:
    text = section(name)
    rows, answer = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    (sql,) = re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)
    assert f"from {name}(" in sql
    with memory_lake(load_settings(), events(rows)) as con:
        write_answer(con.execute(sql), Format.MARKDOWN, tmp_path / "answer.md")
    assert (tmp_path / "answer.md").read_text() == answer
