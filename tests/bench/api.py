"""What the HTTP API costs: PutEvents of many events by several clients, of one event at a steady rate, and its memory."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from pipeline.config import Settings
from tests.api_process import ApiProcess, make_access_key, make_app, serving
from tests.bench.ground import open_scene
from tests.bench.rows import Budget, Row, Sizes

CLIENTS, EVENTS = 8, 100
RATE = 500


def measure_api(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """Signed requests, acknowledged by Kafka; the client and Kafka are on the same two cores."""
    with open_scene(ground, "api", log_level="warning") as settings:
        make_app(settings)
        key = make_access_key(settings, "shop")
        with serving(ApiProcess(settings, settings.home)) as api:
            assert api.process is not None
            process = psutil.Process(api.process.pid)
            _load(api, key, 2, CLIENTS, EVENTS, 0)
            cpu = sum(process.cpu_times()[:2])
            done = _load(api, key, sizes.api_secs, CLIENTS, EVENTS, 0)
            used = sum(process.cpu_times()[:2]) - cpu
            accepted = done["accepted"]
            per_core = accepted / used
            note = f"{accepted / done['wall_secs']:,.0f} events/s by the clock; {used / done['wall_secs']:.2f} cores of the server; {done['failed']} requests failed"
            yield Row("api", f"PutEvents of {EVENTS}, {CLIENTS} clients: events/s a core of the server", used * 1e6 / accepted, per_core, per_core,
                      "events/s", budget=Budget("value", 40_000, is_least=True), note=note)  # fmt: skip
            done = _load(api, key, sizes.api_secs, 16, 1, RATE)
            for share, budget in ((50, None), (99, Budget("value", 25.0))):
                took = done["took_ms"][min(len(done["took_ms"]) - 1, int(len(done["took_ms"]) * share / 100))]
                yield Row("api", f"PutEvents of 1 at {RATE} requests/s: p{share}", value=took, unit="ms", budget=budget,
                          note=f"{len(done['took_ms']):,} requests, {done['failed']} failed; from the moment a request was due")  # fmt: skip
            # VmHWM: the most that was ever held.
            peak = next(
                int(line.split()[1]) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmHWM")
            )
            yield Row("api", "memory, peak", value=peak / 1024, unit="MB", budget=Budget("value", 200.0))


def _load(api: ApiProcess, key: tuple[str, str], secs: float, clients: int, events: int, rate: float) -> dict[str, Any]:
    arguments = [api.url, *key, str(secs), str(clients), str(events), str(rate)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.api_load", *arguments], capture_output=True, text=True, timeout=secs + 120, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
