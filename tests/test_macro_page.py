"""The page of macros: each example's answer is what its query says of its rows."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.ask.layers import FOLDER
from pipeline.ask.output_formats import Format, write_answer
from pipeline.config import load_settings
from tests.lake_rows import event, memory_lake

PAGE = FOLDER / "macros" / "README.md"
NAMES = ["retention", "weekly_return", "cohorts", "stickiness", "lifecycle", "rfm"]


def section(name: str) -> str:
    """What stands under the name of a macro."""
    return re.split(rf"^## {name}\n", PAGE.read_text(), flags=re.MULTILINE)[1].split("\n## ")[0]


def tables(text: str) -> list[str]:
    """The tables of a text, whole."""
    return re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)


def events(table: str) -> Iterator[dict[str, Any]]:
    """The events of a table: a cell of several times is an event at each; columns that begin with _ are metrics."""
    names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    for row in rows:
        cells = {name: cell for name, cell in zip(names, row, strict=True) if cell}
        metrics = {name: float(cells.pop(name)) for name in names if name.startswith("_") and name in cells}
        for moment in cells.pop("event_timestamp").split(", "):
            yield event(event_timestamp=datetime.fromisoformat(moment).replace(tzinfo=UTC), metrics=metrics, **cells)


@pytest.mark.parametrize("name", NAMES)
def test_answer_of_the_page_is_the_answer(name: str, tmp_path: Path) -> None:
    text = section(name)
    rows, answer = tables(text)
    (sql,) = re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)
    assert f"from {name}(" in sql
    with memory_lake(load_settings(), list(events(rows))) as con:
        write_answer(con.execute(sql), Format.MARKDOWN, tmp_path / "answer.md")
    assert (tmp_path / "answer.md").read_text() == answer


def test_rows_of_an_example_are_an_event_a_time() -> None:
    text = "| endpoint_id | event_timestamp | _item_price |\n| --- | --- | --- |\n| a | 2026-11-01, 2026-11-02T10:30 | 2 |\n| b | 2026-11-03 | |\n"
    assert [(row["endpoint_id"], row["event_timestamp"], row["metrics"]) for row in events(text)] == [
        ("a", datetime(2026, 11, 1, tzinfo=UTC), {"_item_price": 2.0}),
        ("a", datetime(2026, 11, 2, 10, 30, tzinfo=UTC), {"_item_price": 2.0}),
        ("b", datetime(2026, 11, 3, tzinfo=UTC), {}),
    ]
