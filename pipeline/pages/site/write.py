"""The site as files: a page for each view and macro, a list with a search, a picture of all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import SqlLexer

from pipeline.ask.layers import LAYERS, MACROS
from pipeline.pages.site.catalog import Catalog, Entry
from pipeline.pages.site.lineage import BOX_HEIGHT, BOX_WIDTH, draw_lineage
from schemas.errors import UsageError

# The names of the pages, one a line: the next call knows by it which are old.
_WRITTEN = "pages.txt"
TEMPLATES = Path(__file__).parent / "templates"
_MARKDOWN = MarkdownIt("commonmark", {"html": False})
# The picture of everything leaves out checks, on which nothing stands, and macros: they are more than all else together.
_PICTURED = tuple(layer for layer in LAYERS if layer not in ("checks", MACROS))


def write_site(catalog: Catalog, folder: Path) -> list[Path]:
    """Write every page into the folder, which is made; pages that an earlier call wrote there and that are none any more go.

    Raises UsageError when the folder cannot be written.
    """
    pages = render_site(catalog)
    pages[_WRITTEN] = "\n".join(sorted(pages))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = (folder / _WRITTEN).read_text().split("\n") if (folder / _WRITTEN).exists() else []
        for name in set(before) - set(pages):
            # A name and no path: what stands elsewhere is not ours to remove.
            (folder / Path(name).name).unlink(missing_ok=True)
        for name, text in pages.items():
            (folder / name).write_text(text)
    except OSError as error:
        raise UsageError(
            f"--out {folder} cannot be written: {error.strerror}; expected a folder of yours, for example build/views."
        ) from None
    return [folder / name for name in pages]


def render_site(catalog: Catalog) -> dict[str, str]:
    """Every file by its name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"inline": _inline, "sql": _as_sql}
    layers = {layer: [one for one in catalog.entries.values() if one.layer == layer] for layer in LAYERS}
    shared: dict[str, Any] = {
        "catalog": catalog,
        "layers": {layer: found for layer, found in layers.items() if found},
        "page_of": lambda name: _page_of(catalog, name),
    }
    shared |= {"box_width": BOX_WIDTH, "box_height": BOX_HEIGHT}
    everything = [one.name for one in catalog.entries.values() if one.layer in _PICTURED]
    tables = sorted({name for one in layers["staging"] for name in one.reads})
    pages = {
        "index.html": environment.get_template("index.html").render(shared),
        "lineage.html": environment.get_template("lineage.html").render(shared, picture=draw_lineage(catalog, [*tables, *everything])),
        "style.css": (TEMPLATES / "style.css").read_text() + _sql_style(),
        "search.js": (TEMPLATES / "search.js").read_text(),
    }
    entry = environment.get_template("entry.html")
    return pages | {_page_of(catalog, one.name): entry.render(shared, **_about(catalog, one)) for one in catalog.entries.values()}


def _about(catalog: Catalog, one: Entry) -> Mapping[str, Any]:
    around = [*catalog.above(one.name), one.name, *(name for name in catalog.below(one.name) if not name.startswith("checks."))]
    checks = [name for name in catalog.below(one.name) if name.startswith("checks.")]
    return {"entry": one, "picture": draw_lineage(catalog, around), "checks": checks}


def _page_of(catalog: Catalog, name: str) -> str:
    """Where a name leads; a table of the lake, to nothing here. A macro may be called as a page of ours is."""
    if name not in catalog.entries:
        return ""
    return f"{name}.html" if "." in name else f"{MACROS}.{name}.html"


def _inline(text: str) -> Markup:
    """Markdown of one line."""
    return Markup(_MARKDOWN.renderInline(text))


def _sql_style() -> str:
    return str(HtmlFormatter().get_style_defs(".sql"))  # type: ignore[no-untyped-call]


def _as_sql(text: str) -> Markup:
    return Markup(highlight(text, SqlLexer(), HtmlFormatter(cssclass="sql")))
