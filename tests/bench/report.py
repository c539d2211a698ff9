"""A run as a table, as JSON, and against another run."""

import dataclasses
import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.rows import Row

ROOT = Path(__file__).parents[2]
LIBRARIES = ("faust-streaming", "aiokafka", "confluent-kafka", "pyarrow", "duckdb", "deltalake", "msgspec", "numpy")


def build_run(kind: str, rows: list[Row]) -> dict[str, Any]:
    """The whole run as it is kept: when, of which revision, on which machine, and the rows."""
    return {
        "kind": kind,
        "date": datetime.now(UTC).date().isoformat(),
        "revision": _revision(),
        "machine": describe_machine(),
        "rows": [
            {name: value for name, value in dataclasses.asdict(row).items() if value not in (None, "")}
            | ({} if row.is_met is None else {"is_met": row.is_met})
            for row in rows
        ],
    }


def print_run(run: dict[str, Any]) -> None:
    """The table for people."""
    machine = run["machine"]
    table = Table(title=f"{run['kind']} run, {run['date']}, revision {run['revision']}\n{machine['cpu']}, {machine['cores']} cores")
    table.add_column("what")
    for name in ("CPU us/event", "events/s", "figure", "budget"):
        table.add_column(name, justify="right")
    table.add_column("")
    section = ""
    for row in run["rows"]:
        if row["section"] != section:
            section = row["section"]
            table.add_section()
        table.add_row(*(row["what"], _number(row.get("cpu_us"), 2), _number(row.get("events_per_sec"), 0)), "", "", row.get("note", ""))
    Console(width=160).print(table)


def write_run(run: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(run, indent=1) + "\n")


def describe_machine() -> dict[str, Any]:
    """CPU model, cores, memory and the versions that matter."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "cpu": model,
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _revision() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
