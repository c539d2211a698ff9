"""The checkout and the local stack: .venv as locked, who holds the stack's lock, whether its keeper and its processes live."""

import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipeline.config import Settings
from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, ok, warning
from pipeline.stack.programs import stack_folder
from pipeline.stack.supervision import Supervisor

# As the Makefile has it: when one of them is newer than the marker, .venv is not what they say.
SOURCES = ("requirements-dev.txt", "deploy/local/requirements-uv.txt", "pyproject.toml", "deploy/local/setup.sh")
ALIVE = ("RUNNING", "STARTING")


def check_venv(case: Case) -> Iterator[Finding]:
    """Whether .venv was made from the locks as they are now."""
    venv, marker = case.root / ".venv", case.root / ".venv" / ".ready"
    if Path(sys.prefix) != venv.resolve():
        yield ok(".venv", f"not used: Python runs from {sys.prefix}")
        return
    if not marker.exists():
        yield warning(".venv", "it was not made to its end: .venv/.ready is missing", "what the locks say", "make setup")
        return
    newer = [name for name in SOURCES if (case.root / name).exists() and (case.root / name).stat().st_mtime > marker.stat().st_mtime]
    if newer:
        yield warning(".venv", f"older than {', '.join(newer)}", "made after the last change of its locks", "make setup")
    else:
        yield ok(".venv", "made from the locks as they are")


def check_lock(case: Case) -> Iterator[Finding]:
    """Whether another `up` or `down` is under way."""
    file = stack_folder(case.settings) / "lock"
    holder = _find_holder(file) if file.exists() else ""
    if holder:
        yield warning(
            "lock of the stack",
            f"held by {holder}",
            "held only while 'headwater up' or 'down' runs",
            f"wait for it, or end it: kill {holder.split()[1]}",
        )
    else:
        yield ok("lock of the stack", "free")


def check_processes(case: Case) -> Iterator[Finding]:
    """The stack's keeper (supervisor) and the processes that it keeps."""
    supervisor = Supervisor(case.settings)
    if supervisor.pid() is None:
        yield from _check_absence(case.settings, supervisor)
        return
    processes = supervisor.processes()
    ill = [process for process in processes if process["statename"] not in ALIVE]
    for process in ill:
        name, state = process["name"], str(process["statename"]).lower()
        yield broken(f"process {name}", f"{state}: {process['description']}", "running", f"headwater logs {name}, then headwater up")
    if not ill:
        yield ok("processes", f"{', '.join(str(process['name']) for process in processes)} run")


def _check_absence(settings: Settings, supervisor: Supervisor) -> Iterator[Finding]:
    orphans = supervisor.orphans() if supervisor.folder.is_dir() else []
    if orphans:
        pids = ", ".join(str(process.pid) for process in orphans)
        yield broken(
            "processes",
            f"supervisor is gone, and processes {pids} that it kept run on: nobody starts them again",
            "kept by supervisor",
            "headwater up",
        )
    elif supervisor.socket.exists():
        yield warning(
            "processes", f"nothing runs, and a killed supervisor left its socket {supervisor.socket}", "no socket", "headwater up"
        )
    elif settings.kafka_is_local or settings.s3_is_local:
        yield warning("processes", f"no local stack runs under {settings.home}", "Kafka, S3 and workers", "headwater up")
    else:
        yield ok("processes", "no local stack; none is needed: Kafka and S3 are elsewhere")


def _find_holder(file: Path) -> str:
    """'process 123 (name)' that holds the lock; '' when nobody does."""
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return ""
        except BlockingIOError:
            inode = os.fstat(opened.fileno()).st_ino
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(os.stat(one.path).st_ino == inode for one in process.open_files()):
                return f"process {process.pid} ({process.name()})"
        except (psutil.Error, OSError):
            continue
    return "process unknown"
