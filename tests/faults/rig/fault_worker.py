"""A worker with failpoints, or without a guard: `python -m tests.faults.rig.fault_worker`.

Environment: FAULT_PLAN and FAULT_JOURNAL as in failpoints.py; FAULT_GUARDS_OFF as in guards/.
"""

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pipeline.commands.worker
import pipeline.worker
from pipeline.cli import main as run_command
from pipeline.config import Settings
from pipeline.metrics import WorkerMetrics
from tests.faults import guards
from tests.faults.rig.failpoints import Failpoints
from tests.worker_process import WorkerProcess

# A worker that has done nothing has 250 MB, at full load with ten million keys in its windows under 600 (tests/README.md).
RSS_BYTES_MAX = 640_000_000


class FaultWorker(WorkerProcess):
    """That worker as a process; flushes are short. `plan` is read at each start, `guards_off` are names of guards/."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        number: int = 0,
        plan: Sequence[Mapping[str, Any]] = (),
        guards_off: str = "",
        **variables: str,
    ) -> None:
        self.journal = folder / f"journal-{number}.ndjson"
        given = {"HEADWATER_FLUSH_SECS_MAX": "0.3", "FAULT_GUARDS_OFF": guards_off, "FAULT_JOURNAL": str(self.journal)} | variables
        super().__init__(settings, folder, number, "tests.faults.rig.fault_worker", **given)
        self.plan = plan
        self.rss_bytes_max = 0
        """The most memory that it had, over all its starts."""

    def start(self) -> "FaultWorker":
        self.rig["FAULT_PLAN"] = json.dumps(list(self.plan))
        super().start()
        assert self.process is not None
        threading.Thread(target=self._watch_memory, args=[self.process.pid], daemon=True).start()
        return self

    def _watch_memory(self, pid: int) -> None:
        """Until the process is gone: its peak, which the kernel keeps."""
        with contextlib.suppress(OSError):
            while match := re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
                self.rss_bytes_max = max(self.rss_bytes_max, int(match[1]) * 1024)
                time.sleep(0.2)


def main() -> None:
    """Run `headwater worker`, rigged."""
    guards.remove(os.environ["FAULT_GUARDS_OFF"])
    plan, journal = os.environ["FAULT_PLAN"], Path(os.environ["FAULT_JOURNAL"])
    build_worker = pipeline.worker.build_worker

    def build_rigged(settings: Settings, metrics: WorkerMetrics) -> pipeline.worker.WorkerApp:
        failpoints: list[Failpoints] = []
        app = build_worker(settings, metrics, lambda step: failpoints[0].run_step(step) if failpoints else None)

        def waiting_bytes() -> int:
            return sum(stream.buffer.bytes_waiting for stream in app.runner._streams.values())

        failpoints.append(Failpoints(plan, journal, waiting_bytes, lambda: app.runner.held_bytes - waiting_bytes()))
        return app

    if plan != "[]":
        mock.patch.object(pipeline.commands.worker, "build_worker", build_rigged).start()
    sys.argv = ["headwater", "worker"]
    run_command()


if __name__ == "__main__":
    main()
