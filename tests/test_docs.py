"""Documentation under test: what the code declares stands in the pages, and derived pages are what the code says."""

import ast
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import schemas.tables
from agents.enrichment.enrichments import ENRICHMENTS
from pipeline.ask.library import load_library
from pipeline.cli import COMMANDS
from pipeline.config import Settings
from pipeline.pages import docs
from pipeline.pages.doc_pages import as_shown, load_command
from pipeline.topology import TOPICS
from schemas.errors import HeadwaterError
from schemas.records import Reason
from schemas.tables import load_table

ROOT = docs.ROOT
README = ROOT / "README.md"
TABLES = [path.stem for path in schemas.tables.FOLDER.glob("*.avsc") if path.stem not in {"stream_record", "rejected_event"}]


def pages(*paths: str) -> str:
    return "\n".join((ROOT / path).read_text() for path in paths)


def all_pages() -> str:
    """README and every page beside the code."""
    folders = ["schemas", "sinks", "agents", "pipeline", "queries", "deploy"]
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.md")]
    return "\n".join(path.read_text() for path in [*found, *([README] if README.exists() else [])])


def missing(names: Iterable[str], text: str) -> list[str]:
    """The names that do not stand in the text as a whole word."""
    return [name for name in names if not re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text)]


def find_make_targets() -> list[str]:
    return re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def find_metrics() -> list[str]:
    """Names of metrics anywhere in the code, whether the worker or something else serves them."""
    return sorted({name for name in _find_texts(ROOT / "pipeline") if re.fullmatch(r"headwater_[a-z_]+", name)})


def find_event_types() -> list[str]:
    """Standard event types that code, queries or examples know."""
    texts = [*_find_texts(ROOT / "pipeline"), *_find_texts(ROOT / "agents"), *(one.sql for one in load_library().definitions.values())]
    texts += [json.loads(path.read_text())["event_type"] for path in (schemas.tables.FOLDER / "examples").glob("*.json")]
    return sorted({found for text in texts for found in re.findall(r"(?<![\w.])_[A-Za-z]+\.[A-Za-z_]{3,}", text)})


def _find_texts(folder: Path) -> list[str]:
    trees = [ast.parse(path.read_text()) for path in folder.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [node.value for node in nodes if isinstance(node.value, str)]


def test_derived_pages_are_what_the_code_says() -> None:
    stale = [path for path, text in docs.render_pages(ROOT).items() if (ROOT / path).read_text() != text]
    assert stale == [], "run: make docs"


def test_stale_page_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(docs.PAGES, "pipeline/TOPICS.md", lambda: "another text")
    with pytest.raises(docs.StalePagesError, match=r"pipeline/TOPICS\.md"):
        docs.main(["--check"])


def test_pages_are_written_where_they_are_stale_and_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in [*docs.PAGES, *docs.PARTS]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    (tmp_path / "pipeline/TOPICS.md").write_text("old")
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    docs.main([])
    assert capsys.readouterr().out == "wrote pipeline/TOPICS.md\n"
    docs.main(["--check"])


def test_page_without_the_marks_of_a_part_is_refused() -> None:
    assert docs.replace_part("a\n<!-- x -->\nold\n<!-- /x -->\nb", "x", "new\n") == "a\n<!-- x -->\n\nnew\n\n<!-- /x -->\nb"
    with pytest.raises(HeadwaterError, match="enrichments"):
        docs.replace_part("no marks", "enrichments", "text")


# What is declared, and the page that it must stand in.
DECLARED: list[tuple[str, Callable[[], list[str]], tuple[str, ...]]] = [
    ("setting", lambda: [f"HEADWATER_{name.upper()}" for name in Settings.model_fields], ("pipeline/SETTINGS.md",)),
    ("topic", lambda: [topic.name for topic in TOPICS], ("pipeline/TOPICS.md",)),
    ("metric", find_metrics, ("pipeline/METRICS.md",)),
    ("command", lambda: [f"headwater {name}" for name in COMMANDS], ("pipeline/COMMANDS.md",)),
    ("view or macro", lambda: list(load_library().definitions), ("queries/VIEWS.md",)),
    ("enrichment", lambda: [f"### {each.name}" for each in ENRICHMENTS], ("agents/README.md",)),
    ("reason", lambda: [f"`{reason}`" for reason in Reason], ("agents/README.md",)),
    ("column", lambda: [f"`{name}`" for table in TABLES for name in load_table(table).column_names], ("schemas/events.md",)),
    ("event type", find_event_types, ("schemas/README.md", "schemas/events.md")),
]


@pytest.mark.parametrize(("kind", "declared", "where"), DECLARED, ids=[kind for kind, _, _ in DECLARED])
def test_what_the_code_declares_stands_in_its_page(kind: str, declared: Callable[[], list[str]], where: tuple[str, ...]) -> None:
    names = declared()
    assert len(names) >= 3, f"no {kind} was found: the search is broken"
    assert missing(names, pages(*where)) == []


@pytest.mark.parametrize(("kind", "declared", "where"), DECLARED, ids=[kind for kind, _, _ in DECLARED])
def test_what_is_left_out_of_its_page_is_found(kind: str, declared: Callable[[], list[str]], where: tuple[str, ...]) -> None:
    name, text = declared()[0], pages(*where)
    assert missing([name], re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "", text)) == [name], kind


def test_every_enrichment_that_a_setting_names_is_one_and_the_other_way_round() -> None:
    assert set(Settings.model_fields["enrichments"].default) == {enrichment.name for enrichment in ENRICHMENTS}


def test_links_between_pages_lead_somewhere() -> None:
    folders = ["schemas", "sinks", "agents", "pipeline", "queries", "deploy"]
    paths = [*(path for folder in folders for path in (ROOT / folder).rglob("*.md")), *([README] if README.exists() else [])]
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in paths
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.skipif(not README.exists(), reason="there is no README yet")
@pytest.mark.parametrize(
    ("kind", "declared"),
    [
        ("make target", lambda: [f"make {target}" for target in find_make_targets() if target != "help"]),
        ("command", lambda: [f"headwater {name}" for name in COMMANDS]),
        ("folder", lambda: [f"{name}/" for name in ("pipeline", "schemas", "agents", "sinks", "queries", "deploy", "tests")]),
    ],
)
def test_readme_names_what_people_call(kind: str, declared: Callable[[], list[str]]) -> None:
    text = README.read_text() if kind == "folder" else all_pages()
    assert missing(declared(), text) == []


def test_help_of_commands_keeps_what_stands_in_brackets() -> None:
    """The terminal takes a word in brackets for markup, and leaves it out, unless it is escaped."""
    assert "headwater[png]" in pages("pipeline/COMMANDS.md")
    assert r"purchase[category=shoes\|boots][_item_price>=10]" in pages("pipeline/COMMANDS.md")
    texts = [text for name in COMMANDS for text in _help_texts(load_command(name))]
    assert len(texts) > 100
    assert [text for text in texts if as_shown(text) != text.replace("\\[", "[")] == []


def _help_texts(command: Any) -> list[str]:
    inner = getattr(command, "commands", {}).values()
    return [command.help or "", *(one.help or "" for one in command.params), *(text for one in inner for text in _help_texts(one))]
