"""What the derived pages have in common: a table, and the line that says where a page comes from."""

from collections.abc import Iterable, Sequence

WRITTEN = "Written by `make docs` from {source}; change it there.\n"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; pipes and line breaks within a cell are made harmless."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n" for line in lines)
