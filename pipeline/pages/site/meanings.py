"""What columns mean: the tables of queries/README.md, the schemas of the lake, and where neither says it what is read by the same name."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from pipeline.ask.lake_relations import TABLES
from pipeline.ask.layers import FOLDER, LAKE, SETTINGS
from pipeline.ask.views import View
from schemas.errors import UsageError
from schemas.tables import load_table

# By relation and column; Markdown.
Meanings = Mapping[str, Mapping[str, str]]
_NAME = re.compile(r"`([^`]+)`")


def read_meanings(own: Path | None = None) -> dict[str, dict[str, str]]:
    """By view and column, from the README of queries/ and that of one's own, if it has one: below a heading with the view's name, a table whose first cells name columns.

    Raises UsageError for a README of one's own that cannot be read.
    """
    found: dict[str, dict[str, str]] = {
        f"{LAKE}.{name}": {column.name: column.doc for column in load_table(name).columns} for name in TABLES
    }
    for folder in (FOLDER, *([own] if own else [])):
        page = folder / "README.md"
        if page.exists():
            try:
                text_of_page = page.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{page} cannot be read ({error}); expected Markdown in UTF-8.") from None
            for view, column, text in _table_rows(text_of_page):
                found.setdefault(view, {}).setdefault(column, text)
    return found


def _table_rows(text: str) -> Iterator[tuple[str, str, str]]:
    views: list[str] = []
    for node in SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text)).children:
        if node.type == "heading":
            views = _NAME.findall(node.children[0].content)
        elif node.type == "table" and views:
            for row in node.children[-1].children:
                cells = [cell.children[0].content if cell.children else "" for cell in row.children]
                for column in _NAME.findall(cells[0]):
                    yield from ((view, column, cells[-1]) for view in views)


def find_meaning(view: View, column: str, views: Mapping[str, View], meanings: Meanings) -> str:
    """What a column means: as is said of the view, else as of the first that it reads by that name; empty when nothing says it."""
    said = meanings.get(view.name, {}).get(column)
    if said is not None:
        return said
    for name in view.reads:
        if name in views:
            said = find_meaning(views[name], column, views, meanings)
        elif name != SETTINGS:
            said = meanings.get(name, {}).get(column)
        if said:
            return said
    return ""
