"""`headwater maintain` as a process beside workers, stopped and woken up like one, and what its metrics say."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from pipeline.config import Settings
from pipeline.stack.programs import environment
from tests.api_process import free_port
from tests.forked_command import Forked, start_python
from tests.metrics_page import sum_metrics
from tests.worker_process import wait_until

# So often that a test meets it: runs twice a second, and six small files of a folder are many.
OFTEN = {"HEADWATER_MAINTAIN_SECS": "0.5", "HEADWATER_MAINTAIN_FILES_MAX": "6", "HEADWATER_MAINTAIN_FILE_BYTES_TARGET": "1000000"}


class Maintainer:
    """A maintainer with settings of a test, `number` among those of its folder. `module` may name a rigged one."""

    def __init__(
        self, settings: Settings, folder: Path, number: int = 0, variables: Mapping[str, str] = OFTEN, module: str = "pipeline.cli"
    ) -> None:
        self.metrics_port = free_port()
        self.log = folder / f"maintainer-{number}.log"
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self._arguments = [module, *(["maintain"] if module == "pipeline.cli" else [])]
        self._variables = os.environ | environment(settings) | {"HEADWATER_MAINTAIN_METRICS_PORT": str(self.metrics_port)} | dict(variables)

    @classmethod
    def of_long_run(cls, settings: Settings, folder: Path) -> "Maintainer":
        """As every deployment has one: minutes of flushes make thousands of versions and of small files, and each start of a worker reads them all
        unless somebody compacts them and writes checkpoints."""
        return cls(settings, folder, variables={"HEADWATER_MAINTAIN_SECS": "20"})

    def start(self) -> "Maintainer":
        module, *arguments = self._arguments
        self.process = start_python(f"import {module} as m; m.main()", arguments, self._variables, self.log)
        return self

    def suspend(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def wait_until_stopped(self) -> None:
        """Until it has stopped itself, as a rigged one does."""
        assert self.process is not None
        process = psutil.Process(self.process.pid)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "the maintainer stops")

    def wait(self, secs_max: float = 120) -> int:
        """Until it has left; its exit status."""
        assert self.process is not None
        return self.process.wait(secs_max)

    def stop(self, secs_max: float = 60) -> int:
        """SIGTERM; returns the exit status."""
        self._send(signal.SIGTERM)
        return self.wait(secs_max)

    def metrics(self) -> Counter[str]:
        """Samples by name, summed over their labels; none before it answers."""
        try:
            return sum_metrics(self.metrics_port)
        except OSError:
            return Counter()

    def wait_until_it_answers(self) -> None:
        wait_until(lambda: bool(self.metrics()), "maintenance answers")

    def _send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@contextmanager
def maintaining(*maintainers: Maintainer) -> Iterator[None]:
    """Maintainers that run inside the block and surely not after it; when it fails, their last lines are printed."""
    try:
        for maintainer in maintainers:
            maintainer.start()
        yield
    except BaseException:
        for maintainer in maintainers:
            print(f"{maintainer.log}:", *maintainer.log.read_text().splitlines()[-30:], sep="\n")
        raise
    finally:
        for maintainer in maintainers:
            if maintainer.process is not None and maintainer.process.poll() is None:
                maintainer.process.kill()
                maintainer.process.wait()
