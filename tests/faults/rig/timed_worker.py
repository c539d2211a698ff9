"""A worker that notes how long each of its commits to `events` takes: `python -m tests.faults.rig.timed_worker`.

From the step before the first try to the step after the one that came through, with every refusal, look and judgement between them.
Environment: FAULT_COMMITS, the file to which it appends a line of seconds for each; FAULT_GUARDS_OFF as in guards/.
"""

import os
import sys
import time
from pathlib import Path
from unittest import mock

import pipeline.commands.worker
import pipeline.worker
from pipeline.cli import main as run_command
from pipeline.config import Settings
from pipeline.metrics import WorkerMetrics
from tests.faults import guards
from tests.faults.rig.fault_worker import FaultWorker


class CommitTimes:
    """The seconds of each commit, of steps as landing names them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._began_at: float | None = None

    def run_step(self, step: str) -> None:
        if step == "before events commit" and self._began_at is None:
            self._began_at = time.monotonic()
        elif step == "after events commit" and self._began_at is not None:
            with self._file.open("a") as file:
                file.write(f"{time.monotonic() - self._began_at:.4f}\n")
            self._began_at = None


def timed(worker: FaultWorker) -> FaultWorker:
    """That worker, timed; `commit_secs` reads its times."""
    worker.module = "tests.faults.rig.timed_worker"
    worker.rig["FAULT_COMMITS"] = str(_file_of(worker))
    return worker


def commit_secs(worker: FaultWorker) -> list[float]:
    """Seconds of each commit of a timed worker, in order."""
    file = _file_of(worker)
    return [float(line) for line in file.read_text().splitlines()] if file.exists() else []


def _file_of(worker: FaultWorker) -> Path:
    return worker.log.with_suffix(".commits")


def main() -> None:
    """Run `headwater worker`, timed."""
    guards.remove(os.environ["FAULT_GUARDS_OFF"])
    times = CommitTimes(Path(os.environ["FAULT_COMMITS"]))
    build_worker = pipeline.worker.build_worker

    def build_timed(settings: Settings, metrics: WorkerMetrics) -> pipeline.worker.WorkerApp:
        return build_worker(settings, metrics, times.run_step)

    mock.patch.object(pipeline.commands.worker, "build_worker", build_timed).start()
    sys.argv = ["headwater", "worker"]
    run_command()


if __name__ == "__main__":
    main()
