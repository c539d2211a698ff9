"""What the import of endpoints takes: a CSV of fifteen columns, by `headwater import endpoints` as people call it."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.config import Settings
from pipeline.stack.programs import environment
from tests.api_process import make_app
from tests.bench.ground import open_scene
from tests.bench.rows import Budget, Row, Sizes

HEADER = (
    "Id,Address,ChannelType,OptOut,EffectiveDate,Attributes.interests,Attributes.interests,Attributes.plan,Metrics.logins,Demographic.Locale,"
    "Demographic.Platform,Location.Country,Location.Latitude,User.UserId,User.UserAttributes.name\n"
)


def measure_endpoint_import(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """Rows a second from the command's start to its end: reading, checking, sending, acknowledged by Kafka, remembered by the lake."""
    with open_scene(ground, "endpoint-import") as settings:
        make_app(settings)
        path = settings.home / "endpoints.csv"
        write_endpoints(path, sizes.endpoints)
        secs, cpu_secs = import_file(settings, path)
    yield Row(
        "endpoint_import",
        f"{sizes.endpoints:,} endpoints, CSV",
        cpu_us=cpu_secs / sizes.endpoints * 1e6,
        events_per_sec=sizes.endpoints / secs,
        budget=Budget("events_per_sec", 20_000, is_least=True),
        note="one process; an event is a row",
    )


def write_endpoints(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.write(HEADER)
        for number in range(count):
            second = "sport" if number % 2 else ""
            file.write(
                f"endpoint-{number},user{number}@example.com,EMAIL,NONE,2026-01-{1 + number % 28:02}T10:00:00.000Z,music,{second},gold,"
                f"{number % 50},de_DE,ios,DE,52.5,user-{number // 2},Name {number}\n"
            )


def import_file(settings: Settings, path: Path) -> tuple[float, float]:
    """Seconds on the wall and of CPU that the command took. Raises RuntimeError when a row was not imported."""
    command = [sys.executable, "-m", "pipeline.cli", "import", "endpoints", str(path), "--app", "shop", "--json"]
    began, used = time.perf_counter(), _children_cpu()
    done = subprocess.run(command, env=environment(settings), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    secs, cpu_secs = time.perf_counter() - began, _children_cpu() - used
    totals = json.loads(done.stdout)["totals"] if done.returncode == 0 else {}
    if totals.get("acknowledged") != totals.get("rows") or not totals:
        raise RuntimeError(f"the import ended with status {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
    return secs, cpu_secs


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
