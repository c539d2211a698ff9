"""`python -m tests.bench`: measure and print one table; see --help."""

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.config import Settings
from tests.bench import report
from tests.bench.answers import measure_answers
from tests.bench.api import measure_api
from tests.bench.endpoint_import import measure_endpoint_import
from tests.bench.endpoints import measure_endpoints
from tests.bench.freshness import measure_freshness
from tests.bench.ground import open_folder, open_ground
from tests.bench.memory import measure_memory
from tests.bench.path import measure_paths
from tests.bench.peer_runs import measure_peers
from tests.bench.rows import FULL, QUICK, Row, Sizes
from tests.bench.size import measure_size
from tests.bench.stages import measure_stages
from tests.bench.up import measure_up

# In this order: freshness takes half of what path has measured.
SECTIONS: dict[str, Callable[[Settings, Sizes, Sequence[Row]], Iterator[Row]]] = {
    "stages": measure_stages,
    "path": measure_paths,
    "peers": measure_peers,
    "api": measure_api,
    "endpoints": measure_endpoints,
    "answers": measure_answers,
    "freshness": measure_freshness,
    "endpoint_import": measure_endpoint_import,
    "memory": measure_memory,
    "size": measure_size,
    "up": measure_up,
}
# These need no Kafka and no S3: alone they run in a folder.
GROUNDLESS = frozenset({"endpoints", "answers"})
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def bench(
    quick: bool = typer.Option(False, "--quick", help="Fewer events and fewer cases: at most three minutes."),
    only: str = typer.Option(",".join(SECTIONS), help="Sections to measure, commas between."),
    json: Annotated[Path | None, typer.Option(help="File for the figures, JSON.")] = None,
    compare: Annotated[Path | None, typer.Option(help="File of an earlier run: print what has changed since.")] = None,
    readme: Annotated[Path | None, typer.Option(help="Measure nothing: write the README's figures from this file.")] = None,
) -> None:
    """Measure what Headwater costs on this machine, print one table, and compare with others' ways in the same run."""
    try:
        if readme is not None:
            page = report.ROOT / "README.md"
            page.write_text(report.write_readme(report.read_run(readme), page.read_text()))
            return
        earlier = None if compare is None else report.read_run(compare)
    except report.ReportError as error:
        sys.exit(f"bench: {error}")
    sizes = QUICK if quick else FULL
    sections = only.split(",")
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown:
        raise typer.BadParameter(f"'{unknown[0]}' is no section; expected some of {','.join(SECTIONS)}.", param_hint="--only")
    rows: list[Row] = []
    with open_folder() if GROUNDLESS.issuperset(sections) else open_ground() as ground:
        for name in sections:
            rows += _measure(name, ground, sizes, rows)
            run = report.build_run(sizes.name, rows)
            # After each section: a run that is stopped keeps what it has.
            if json is not None:
                report.write_run(run, json)
    report.print_run(run)
    if earlier is not None:
        report.print_comparison(earlier, run)
    if any(row.is_failed for row in rows):
        sys.exit(1)


def _measure(name: str, ground: Settings, sizes: Sizes, before: Sequence[Row]) -> list[Row]:
    """The rows of a section; when it fails, those that it had, and one that says why: the others are measured all the same."""
    console, rows = Console(stderr=True), []
    try:
        for row in SECTIONS[name](ground, sizes, before):
            console.print(f"{name}: {row.what}", highlight=False)
            rows.append(row)
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        rows.append(Row(name, "failed", note=f"{type(error).__name__}: {error}".splitlines()[0], is_failed=True))
    return rows


if __name__ == "__main__":
    app()
