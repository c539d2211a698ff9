"""Imports run one way: schemas <- sinks <- agents <- pipeline; queries and deploy hold no Python that others import."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["schemas", "sinks", "agents", "pipeline"]
OTHERS = ["queries", "deploy", "tests"]


def find_imports(text: str) -> Iterator[str]:
    """The top-level names that a module imports, at its top or inside a function, or by importlib with a literal name."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import stays within its package, however deep.
            yield "." if node.level else (node.module or "").split(".")[0]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {"import_module", "__import__"}:
            yield from (str(given.value).split(".")[0] for given in node.args[:1] if isinstance(given, ast.Constant))


def find_violations(folder: str, text: str) -> list[str]:
    """The imports of a module of `folder` that run the wrong way."""
    allowed = LAYERS[: LAYERS.index(folder) + 1] if folder in LAYERS else []
    return [name for name in find_imports(text) if name in {*LAYERS, *OTHERS} and name not in allowed]


@pytest.mark.parametrize("folder", [*LAYERS, "queries", "deploy"])
def test_imports_run_one_way(folder: str) -> None:
    modules = sorted((ROOT / folder).rglob("*.py"))
    assert {str(path.relative_to(ROOT)): found for path in modules if (found := find_violations(folder, path.read_text()))} == {}


def test_every_layer_has_modules_that_were_looked_at() -> None:
    assert [folder for folder in LAYERS if not list((ROOT / folder).rglob("*.py"))] == []


@pytest.mark.parametrize(
    ("folder", "text", "found"),
    [
        ("schemas", "import sinks.store", ["sinks"]),
        ("sinks", "from agents import enrich", ["agents"]),
        ("agents", "def f():\n    from pipeline.config import Settings", ["pipeline"]),
        ("agents", "import importlib\nimportlib.import_module('pipeline.cli')", ["pipeline"]),
        ("pipeline", "from tests.conftest import x", ["tests"]),
        ("deploy", "import schemas", ["schemas"]),
        ("pipeline", "import schemas, sinks.lake\nfrom agents.enrich import EnrichRules", []),
        ("schemas", "import json\nfrom schemas.tables import load_table", []),
    ],
)
def test_an_import_against_the_direction_is_found(folder: str, text: str, found: list[str]) -> None:
    assert find_violations(folder, text) == found


SETTINGS_OWNERS = {"pipeline"}


def test_only_the_wiring_looks_at_the_environment() -> None:
    def reads_environment(text: str) -> bool:
        return any(
            isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} and getattr(node.value, "id", "") == "os"
            for node in ast.walk(ast.parse(text))
        )

    assert reads_environment("import os\nx = os.environ['HOME']"), "the control"
    paths = [path for folder in LAYERS if folder not in SETTINGS_OWNERS for path in (ROOT / folder).rglob("*.py")]
    assert [str(path.relative_to(ROOT)) for path in paths if reads_environment(path.read_text())] == []
