"""Commands of ours as processes of their own that need not import their libraries first: forked from one that has.

Importing is two seconds of CPU, and the tests start hundreds of commands, workers and APIs. What is forked has one thread and has opened nothing.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

# Read when a process or its libraries are loaded, which a forked one has behind it.
_OF_LOADING = ("LD_", "MALLOC_", "PYTHON")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.forked_imports", __name__])
_is_allowed = False


class Forked:
    """Lines of Python in a forked process, to be asked as subprocess.Popen is."""

    def __init__(self, code: str, arguments: Sequence[str], variables: Mapping[str, str], out: Path, err: Path) -> None:
        """Run them under these environment variables and no others; what they write is appended to the files."""
        given = (code, list(arguments), dict(variables), str(out), str(err), os.getcwd())
        # Daemons end with their parent, which would wait for others.
        self._process: BaseProcess = _context.Process(target=_run, args=given, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self._lock = threading.Lock()

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        """The exit status, which may be asked for by several threads; of a process that a signal ended, the signal's number less than 0."""
        with self._lock:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Until it is gone; its exit status.

        Raises subprocess.TimeoutExpired, and the process runs on.
        """
        wait([self._process.sentinel], timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("a forked command", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def allow_forks(is_allowed: bool) -> None:
    """Whether `start_python` may fork: in tests that show what a command does, not how long it takes to start, nor how much memory."""
    global _is_allowed
    _is_allowed = is_allowed


def start_python(
    code: str, arguments: Sequence[str], variables: Mapping[str, str], log: Path, folder: Path | None = None
) -> "subprocess.Popen[bytes] | Forked":
    """`python -c code` as a process that runs on, under these environment variables and no others; its output is appended to the log.

    Forked where that is allowed. Started from the file, as users' are, where it is not, outside of tests, where a folder is given, whose code
    then runs, and with variables that are read while a process is loaded.
    """
    is_loaded_anew = any(name.startswith(_OF_LOADING) and os.environ.get(name) != value for name, value in variables.items())
    if _is_allowed and folder is None and not is_loaded_anew:
        # Whoever started it may read it before it writes.
        log.touch()
        return Forked(code, arguments, variables, log, log)
    with log.open("ab") as file:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.Popen(command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def run_forked(arguments: Sequence[str], variables: Mapping[str, str], secs_max: float) -> subprocess.CompletedProcess[str]:
    """Run the `headwater` command under these environment variables and no others; what it wrote and its exit status.

    Raises subprocess.TimeoutExpired, and the process is gone.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = Forked("from pipeline.cli import main; main()", arguments, variables, out, err)
        try:
            status = process.wait(secs_max)
        finally:
            process.kill()
        return subprocess.CompletedProcess(["headwater", *arguments], status, out.read_text(), err.read_text())


def _run(code: str, arguments: list[str], variables: dict[str, str], out: str, err: str, folder: str) -> None:
    """In the forked process."""
    for stream, path in ((sys.stdout, out), (sys.stderr, err)):
        stream.flush()
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, stream.fileno())
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["headwater", *arguments]
    exec(code, {"__name__": "__main__"})
