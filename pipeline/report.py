"""What commands print: a table or a few named figures for people, the same as JSON for programs."""

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# What would steer a terminal: C0, DEL, C1.
_ESCAPED = {code: chr(code).encode("unicode_escape").decode() for code in (*range(32), *range(127, 160))}


def print_json(value: Any) -> None:
    """One JSON document on standard output; times in ISO 8601, paths and the like as text."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_as_text))


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "", whole: Sequence[str] = ()) -> None:
    """A table for people, numbers to the right; columns of `whole` are not broken into lines."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for index, name in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[index], (int, float)) for row in rows if row[index] is not None)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold", no_wrap=name in whole)
    for row in rows:
        table.add_row(*(Text(format_value(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def print_figures(figures: Mapping[str, Any], title: str = "") -> None:
    """Named figures, one a line."""
    table = Table(title=title or None, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column()
    for name, value in figures.items():
        table.add_row(Text(name), Text(format_value(value)))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def format_value(value: Any) -> str:
    """A value as people read it: thousands separated, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return str(value)


def as_shown_text(value: Any) -> Any:
    """Bytes and text as text that a terminal only shows: what would steer it is escaped. Anything else as it is."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    return text.translate(_ESCAPED) if isinstance(text, str) else text


def as_base64(value: Any) -> Any:
    """Bytes in base64, for JSON; anything else as it is."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _as_text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
