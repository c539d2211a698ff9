"""The reference pages that derive from the code: `python -m pipeline.pages.docs` writes them, with `--check` it says which are stale."""

import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.pages import doc_pages, doc_tables
from schemas.errors import HeadwaterError

ROOT = Path(__file__).parent.parent.parent

# Pages that are wholly written from the code.
PAGES: dict[str, Callable[[], str]] = {
    "schemas/events.md": doc_tables.render_tables,
    "pipeline/COMMANDS.md": doc_pages.render_commands,
    "pipeline/SETTINGS.md": doc_pages.render_settings,
    "pipeline/TOPICS.md": doc_pages.render_topics,
    "pipeline/METRICS.md": doc_pages.render_metrics,
    "queries/VIEWS.md": doc_pages.render_views,
}
# Parts of pages that people write: between <!-- NAME --> and <!-- /NAME -->.
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "agents/README.md": {"enrichments": doc_pages.render_enrichments, "reasons": doc_pages.render_reasons},
}


class StalePagesError(HeadwaterError):
    """Pages differ from the code that they derive from."""


def main(arguments: list[str]) -> None:
    """Write the pages, or with --check raise StalePagesError when one is not what the code says."""
    stale = [path for path, text in render_pages(ROOT).items() if _read(ROOT / path) != text]
    if "--check" in arguments:
        if stale:
            raise StalePagesError(f"Not what the code says: {', '.join(stale)}; write them anew with 'make docs' and commit them.")
        return
    for path in stale:
        (ROOT / path).write_text(render_pages(ROOT)[path])
        print(f"wrote {path}")


def render_pages(root: Path) -> dict[str, str]:
    """Every derived page by its path under `root`, as it should be."""
    pages = {path: render() for path, render in PAGES.items()}
    for path, parts in PARTS.items():
        text = _read(root / path)
        for name, render in parts.items():
            text = replace_part(text, name, render())
        pages[path] = text
    return pages


def replace_part(page: str, name: str, text: str) -> str:
    """The page with `text` between the marks of the part `name`.

    Raises HeadwaterError when the page has no such marks.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found_start, rest = page.partition(start)
    _, found_end, after = rest.partition(end)
    if not found_start or not found_end:
        raise HeadwaterError(f"A page lacks the part '{name}'; expected the lines {start.strip()} and {end} around it.")
    return f"{before}{start}\n{text}\n{end}{after}"


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except HeadwaterError as error:
        sys.exit(f"docs: {error}")
