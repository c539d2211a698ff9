"""A worker as a process of its own, for tests: started, killed, waited for; its log at hand when something is wrong."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config import Settings
from pipeline.stack.programs import environment
from tests.forked_command import Forked, start_python

WAIT_SECS_MAX = 180.0


class WorkerProcess:
    """`headwater worker` with settings of a test, started as `start_python` says. `module` may name a rigged one; `rig` is its environment."""

    checkout: Path | None = None
    """The folder whose code runs; this one unless it is set."""

    def __init__(self, settings: Settings, folder: Path, number: int = 0, module: str = "pipeline.commands.worker", **rig: str) -> None:
        self.settings, self.module, self.rig = settings, module, rig
        self.name = f"worker-{number}"
        self.metrics_port = settings.metrics_address_port + number
        self.log = folder / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | Forked | None = None

    def start(self) -> "WorkerProcess":
        variables = os.environ | environment(self.settings)
        variables |= {
            "HEADWATER_WORKER_INSTANCE": self.name,
            "HEADWATER_METRICS_PORT": str(self.metrics_port),
            "HEADWATER_WORKER_SESSION_SECS": "6",
        } | self.rig
        code = (
            "from pipeline.cli import main; main()" if self.module == "pipeline.commands.worker" else f"import {self.module} as m; m.main()"
        )
        arguments = ["worker"] if self.module == "pipeline.commands.worker" else []
        self.process = start_python(code, arguments, variables, self.log, self.checkout)
        return self

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, secs_max: float = 20) -> int:
        """SIGTERM; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(secs_max)


@contextmanager
def running(*workers: WorkerProcess) -> Iterator[None]:
    """Workers that run inside the block and surely not after it; when it fails, their last lines are printed."""
    try:
        for worker in workers:
            worker.start()
        yield
    except BaseException:
        for worker in workers:
            print(f"{worker.log}:", *worker.log.read_text().splitlines()[-30:], sep="\n")
        raise
    finally:
        for worker in workers:
            if worker.is_running:
                worker.kill()


def wait_until(is_true: Callable[[], bool], what: str, secs_max: float = WAIT_SECS_MAX) -> None:
    """Wait for a condition; fails by name when it does not come.

    Asking takes time from what is waited for: the longer that took, the seldomer.
    """
    start = time.monotonic()
    while not is_true():
        waited = time.monotonic() - start
        if waited > secs_max:
            raise AssertionError(f"after {secs_max:g} s still not: {what}")
        time.sleep(min(max(waited / 10, 0.05), 0.5))
