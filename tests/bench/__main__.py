"""`python -m tests.bench`: measure and print one table; see --help."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.config import Settings
from tests.bench import report
from tests.bench.ground import open_ground
from tests.bench.path import measure_paths
from tests.bench.rows import FULL, QUICK, Row, Sizes
from tests.bench.stages import measure_stages

SECTIONS: dict[str, Callable[[Settings, Sizes], Iterator[Row]]] = {"stages": measure_stages, "path": measure_paths}


def main(
    quick: bool = typer.Option(False, "--quick", help="Fewer events and fewer cases: at most three minutes."),
    only: str = typer.Option(",".join(SECTIONS), help="Sections to measure, commas between."),
    json: Annotated[Path | None, typer.Option(help="File for the figures, JSON.")] = None,
) -> None:
    """Measure what Headwater costs on this machine, print one table, and compare with others' ways in the same run."""
    sizes = QUICK if quick else FULL
    rows: list[Row] = []
    console = Console(stderr=True)
    with open_ground() as ground:
        for name in only.split(","):
            console.print(f"Measuring: {name}")
            rows += SECTIONS[name](ground, sizes)
    run = report.build_run(sizes.name, rows)
    report.print_run(run)
    if json is not None:
        report.write_run(run, json)


if __name__ == "__main__":
    typer.run(main)
