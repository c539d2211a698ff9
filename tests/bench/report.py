"""A run as a table, as JSON, against another run, and as the README's part."""

import dataclasses
import json
import platform
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from pipeline.pages.docs import replace_part
from tests.bench.rows import Row

ROOT = Path(__file__).parents[2]
LIBRARIES = ("faust-streaming", "aiokafka", "confluent-kafka", "pyarrow", "duckdb", "deltalake", "msgspec", "numpy")
README_PART = "bench"
# What differs by less is chance.
SAME_SHARE = 0.05
# Figures of a row: column, unit in a budget, digits.
FIGURES = {"cpu_us": ("CPU us/event", "us", 2), "events_per_sec": ("events/s", "events/s", 0), "value": ("", "", 2), "ratio": ("", "x", 2)}
TITLES = {
    "stages": "Stages, alone: one process over batches of the topic",
    "path": "The whole path: workers, Kafka and S3 on the same cores",
    "peers": "What one would write instead, on one topic; x: CPU an event against Headwater's",
    "endpoints": "Endpoints, in the table that the API reads: merging and looking up",
    "answers": "Answers over a simulated month, one after another: CPU an event of the lake, seconds until the last row",
    "freshness": "From Kafka's append until a DuckDB query sees it, at half load",
    "endpoint_import": "A CSV of endpoints into Kafka: one process, nothing else at work",
    "memory": "With a full dedup window",
    "size": "Parquet",
    "up": "Starting",
}


class ReportError(Exception):
    """A file of figures that cannot be used."""


def build_run(kind: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The whole run as it is kept: when, of which revision, on which machine, and the rows."""
    return {
        "kind": kind,
        "date": datetime.now(UTC).date().isoformat(),
        "revision": _revision(),
        "machine": describe_machine(),
        "rows": [_as_dict(row) for row in rows],
    }


def _as_dict(row: Row) -> dict[str, Any]:
    found = {name: value for name, value in dataclasses.asdict(row).items() if value not in (None, "", False)}
    found |= {name: round(found[name], 4) for name in FIGURES if name in found}
    return found if row.is_met is None else found | {"is_met": row.is_met}


def write_run(run: dict[str, Any], path: Path) -> None:
    """Keep a run as JSON."""
    path.write_text(json.dumps(run, indent=1) + "\n")


def read_run(path: Path) -> dict[str, Any]:
    """A run that was kept.

    Raises ReportError when the file is none.
    """
    try:
        run: dict[str, Any] = json.loads(path.read_text())
        _ = [(row["section"], row["what"]) for row in run["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(f"File '{path}' is no run ({error}); expected one that `python -m tests.bench --json FILE` wrote.") from None
    return run


def print_run(run: dict[str, Any], console: Console | None = None) -> None:
    """The one table."""
    table = Table(title=describe_run(run), title_justify="left")
    table.add_column("what")
    for name in ("CPU us/event", "events/s", "figure", "budget"):
        table.add_column(name, justify="right")
    table.add_column("")
    section = ""
    for row in run["rows"]:
        if row["section"] != section:
            section = row["section"]
            table.add_section()
            table.add_row(TITLES.get(section, section), style="bold")
        style = {None: None, True: "green", False: "red"}[row.get("is_met")] if not row.get("is_failed") else "red"
        table.add_row(
            row["what"],
            _figure(row, "cpu_us"),
            _figure(row, "events_per_sec"),
            describe_figure(row),
            describe_budget(row),
            row.get("note", ""),
            style=style,
        )
    (console or Console(width=180)).print(table)


def print_comparison(before: dict[str, Any], after: dict[str, Any], console: Console | None = None) -> None:
    """What changed from one run to another."""
    table = Table(title=f"from {describe_run(before)}\nto   {describe_run(after)}", title_justify="left")
    for name in ("section", "what", "figure"):
        table.add_column(name)
    for name in ("before", "after", "change"):
        table.add_column(name, justify="right")
    for row in compare_runs(before, after):
        table.add_row(*row)
    (console or Console(width=180)).print(table)


def compare_runs(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """(section, what, figure, before, after, change) for each figure that differs by more than chance, and for each that only one has.

    Sections that the later run has not measured are left out.
    """
    measured = {row["section"] for row in after["rows"]}
    old, new = ({(row["section"], row["what"]): row for row in run["rows"]} for run in (before, after))
    for key in dict.fromkeys([*new, *(key for key in old if key[0] in measured)]):
        for name in FIGURES:
            one, other = old.get(key, {}).get(name), new.get(key, {}).get(name)
            section, what, figure = *key, name.replace("_", " ")
            digits = FIGURES[name][2]
            if one is not None and other is not None:
                change = other / one - 1 if one else 0.0
                if abs(change) >= SAME_SHARE:
                    yield (section, what, figure, _number(one, digits), _number(other, digits), f"{change:+.0%}")
            elif one is not None or other is not None:
                yield (section, what, figure, _number(one, digits), _number(other, digits), "gone" if other is None else "new")


def describe_run(run: dict[str, Any]) -> str:
    """One line: kind, date, revision, machine."""
    machine = run["machine"]
    return f"{run['kind']} run of {run['date']}, revision {run['revision']}, on {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB"


def describe_figure(row: dict[str, Any]) -> str:
    """The figure of a row that is neither CPU nor speed."""
    if "value" in row:
        return f"{_figure(row, 'value')} {row.get('unit', '')}".strip()
    return f"{row['ratio']:.2f}x" if "ratio" in row else ""


def describe_budget(row: dict[str, Any]) -> str:
    """The limit, and whether it holds."""
    if "budget" not in row:
        return ""
    budget = row["budget"]
    of, limit = budget["of"], budget["limit"]
    unit = row.get("unit", "") if of == "value" else FIGURES[of][1]
    sign = ">=" if budget.get("is_least") else "<="
    return f"{sign} {limit:g}{'' if unit == 'x' else ' '}{unit} {'met' if row['is_met'] else 'missed'}"


def write_readme(run: dict[str, Any], page: str) -> str:
    """The page with its part of figures as this run has them."""
    return replace_part(page, README_PART, render_readme(run))


def render_readme(run: dict[str, Any]) -> str:
    """The rows that have a budget, and what others cost on the same topic."""
    machine = run["machine"]
    lines = [
        f"{run['kind'].capitalize()} run of {run['date']}, revision {run['revision']}: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, Python {machine['python']}.",
        "",
        "| | CPU us/event | events/s | figure | budget |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for row in run["rows"]:
        is_peer = row["section"] == "peers" and ":" not in row["what"]
        if is_peer or "budget" in row:
            figures = (_figure(row, "cpu_us"), _figure(row, "events_per_sec"), describe_figure(row), describe_budget(row))
            lines.append("| " + " | ".join((_name(row), *figures)) + " |")
    return "\n".join(lines) + "\n"


def _name(row: dict[str, Any]) -> str:
    return str(row["what"]) if row["section"] in ("peers", "up") else f"{row['section']}: {row['what']}"


def describe_machine() -> dict[str, Any]:
    """CPU model, cores, memory and the versions that matter."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "cpu": model or platform.machine(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _revision() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _figure(row: dict[str, Any], name: str) -> str:
    return _number(row.get(name), FIGURES[name][2])


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return ""
    return f"{value:,.{digits if abs(value) < 100 else 0}f}"
