"""How long a person waits: `headwater up` in an empty folder until everything answers, one worker included."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from pipeline.config import Settings, load_settings
from pipeline.stack.programs import environment
from tests.bench.rows import Budget, Row, Sizes
from tests.conftest import free_port_offset


def measure_up(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """One row; what must be fetched once is there, since another stack has been started before."""
    settings = load_settings(home=ground.home.parent / "up", port_offset=free_port_offset(), local_workers=1)
    try:
        began = time.perf_counter()
        _run(settings, "up")
        secs = time.perf_counter() - began
    finally:
        _run(settings, "down", "--delete")
    yield Row("up", "headwater up to ready", value=secs, unit="s", budget=Budget("value", 10.0), note="another stack runs beside it, idle")


def _run(settings: Settings, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        env=os.environ | environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=180,
        check=True,
    )
