"""Starts and stops the local stack: `start_stack` returns when everything answers, `stop_stack` when nothing runs any more."""

import errno
import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from pipeline.config import Settings
from pipeline.stack.logs import last_lines
from pipeline.stack.ports import require_free_ports
from pipeline.stack.programs import Program, local_programs, stack_folder
from pipeline.stack.readiness import answers_kafka, answers_s3, ensure_bucket, is_listening
from pipeline.stack.supervision import Supervisor, kill_processes, remove_socket_folder
from pipeline.topics import ensure_topics, require_partitions_kept
from schemas.errors import SettingError, UnavailableError, UsageError

ANSWER_SECS_MAX = 90
STOP_SECS_MAX = 45
FREE_BYTES_MIN = 500_000_000
# What answers before the workers and maintenance start.
SERVERS = ("kafka", "s3")
# What a worker may have put into a home before the stack was first started there.
WORKER_FOLDERS = {"faust", "spill", "imports", "example", "sql_history", "demo-ledger.json"}


def start_stack(settings: Settings) -> None:
    """Start what does not run yet, wait until it answers, make the bucket and the topics, then start the workers. Harmless when repeated.

    Raises SettingError for a home or a port that cannot be used, UnavailableError with the last log lines of the part that failed.
    """
    console = Console(stderr=True)
    _prepare_home(settings)
    with _alone(settings), console.status("Starting the local stack") as status:
        _require_same_ports(settings)
        programs = local_programs(settings)
        supervisor = Supervisor(settings)
        is_running = supervisor.pid() is not None
        if is_running:
            _require_redaction(settings)
        if not is_running:
            kill_processes(supervisor.orphans(), secs=10)
        running = {str(found["name"]) for found in supervisor.processes() if found["pid"]}
        require_free_ports(program for program in programs if program.name not in running)
        supervisor.write_config(programs)
        (stack_folder(settings) / "port_offset").write_text(f"{settings.port_offset}\n")
        (stack_folder(settings) / "redaction.json").write_text(json.dumps(_redaction(settings)))
        if is_running:
            supervisor.apply_config()
        else:
            supervisor.start()
        _start(supervisor, [program for program in programs if program.name in SERVERS])
        if settings.kafka_is_local:
            status.update("Waiting for Kafka")
            _wait(supervisor, "kafka", lambda: answers_kafka(settings))
        if settings.s3_is_local:
            status.update("Waiting for S3")
            _wait(supervisor, "s3", lambda: answers_s3(settings))
            ensure_bucket(settings)
        require_partitions_kept(settings)
        ensure_topics(settings, console.print)
        own = [program for program in programs if program.name not in SERVERS]
        _start(supervisor, own)
        for program in own:
            status.update(f"Waiting for {program.name}")
            # A worker serves its metrics once it has reached Kafka, the store and the lake.
            _wait(supervisor, program.name, partial(_answers, program))


def stop_stack(settings: Settings, *, is_deleted: bool = False) -> bool:
    """Stop everything; with `is_deleted`, remove the home too. True when something ran.

    Raises UsageError when the folder to be removed is no Headwater home.
    """
    home = settings.home.resolve()
    if not home.exists():
        return False
    if is_deleted and not stack_folder(settings).is_dir() and any(home.iterdir()):
        raise UsageError(
            f"Folder '{home}' is not removed: it holds files and was not made by 'headwater up' (it has no folder 'stack'). "
            "Expected a Headwater home; set HEADWATER_HOME to one, for example .headwater."
        )
    with Console(stderr=True).status("Stopping the local stack"):
        if not stack_folder(settings).is_dir():
            ran = False
        else:
            with _alone(settings):
                supervisor = Supervisor(settings)
                ran = supervisor.pid() is not None or bool(supervisor.orphans())
                supervisor.end(STOP_SECS_MAX)
                remove_socket_folder(settings)
        if is_deleted:
            shutil.rmtree(home)
    return ran


def _prepare_home(settings: Settings) -> None:
    home = settings.home.resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
        strangers = sorted(entry.name for entry in home.iterdir() if entry.name not in WORKER_FOLDERS)
        if strangers and not stack_folder(settings).is_dir():
            shown = ", ".join(strangers[:3])
            raise SettingError("HOME", settings.home, f"a new or empty folder, and this one holds {shown}; for example .headwater")
        stack_folder(settings).mkdir(mode=0o700, exist_ok=True)
        probe = stack_folder(settings) / "probe"
        probe.write_text("can be written")
        probe.unlink()
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise _home_error(settings, error) from None
    if free < FREE_BYTES_MIN:
        raise UnavailableError(
            f"The disk of HEADWATER_HOME ('{home}') has {free / 1e6:,.0f} MB free; expected {FREE_BYTES_MIN / 1e6:,.0f} MB or more. "
            "Free some, or set HEADWATER_HOME to a folder on another disk."
        )


def _home_error(settings: Settings, error: OSError) -> Exception:
    if error.errno == errno.ENOSPC:
        return UnavailableError(
            f"The disk of HEADWATER_HOME ('{settings.home}') is full; free some, or set HEADWATER_HOME to a folder on another disk."
        )
    return SettingError("HOME", settings.home, f"a folder that can be made and written ({error.strerror}), for example .headwater")


def _require_same_ports(settings: Settings) -> None:
    """One home is one stack: it never runs twice on different ports over the same files."""
    file = stack_folder(settings) / "port_offset"
    if file.exists() and Supervisor(settings).pid() is not None and file.read_text().strip() != str(settings.port_offset):
        raise SettingError(
            "PORT_OFFSET",
            settings.port_offset,
            f"{file.read_text().strip()}, since the stack of {settings.home} runs on that one; "
            "stop it first (headwater down), or set HEADWATER_HOME to another folder for a second stack, for example .headwater-2",
        )


def _redaction(settings: Settings) -> dict[str, list[str]]:
    return {name: sorted(getattr(settings, name)) for name in ("redact_removed", "redact_hashed")}


def _require_redaction(settings: Settings) -> None:
    """Workers that redact are not replaced by workers that do not, because somebody started them from another shell."""
    file = stack_folder(settings) / "redaction.json"
    before = json.loads(file.read_text()) if file.exists() else {}
    for name, names in before.items():
        gone = sorted(set(names) - set(getattr(settings, name)))
        if gone:
            raise SettingError(
                name.upper(),
                ",".join(getattr(settings, name)),
                f"{','.join(names)}, which the running workers have; set HEADWATER_{name.upper()} as it was, "
                "or stop the stack first (headwater down) to write these values in the clear from then on",
            )


def _start(supervisor: Supervisor, programs: list[Program]) -> None:
    idle = {found["name"] for found in supervisor.processes() if found["statename"] not in ("RUNNING", "STARTING", "BACKOFF")}
    for program in programs:
        if program.name in idle:
            supervisor.call("startProcess", program.name, False)


def _state(supervisor: Supervisor, name: str) -> str:
    return next((str(found["statename"]) for found in supervisor.processes() if found["name"] == name), "")


def _answers(program: Program) -> bool:
    return all(is_listening(port) for port in program.ports.values())


def _wait(supervisor: Supervisor, name: str, is_ready: Callable[[], bool]) -> None:
    """Until it is ready; as soon as the process is given up, or after ANSWER_SECS_MAX, an error with its last log lines."""
    end = time.monotonic() + ANSWER_SECS_MAX
    while not is_ready():
        state = _state(supervisor, name)
        if state in ("BACKOFF", "FATAL", "EXITED", "STOPPED", "") or time.monotonic() > end:
            lines = "\n  ".join(last_lines(supervisor.log_folder / f"{name}.log", 15)) or "(it wrote nothing)"
            waited = f"does not answer after {ANSWER_SECS_MAX} s" if time.monotonic() > end else "stopped while it started"
            raise UnavailableError(
                f"'{name}' of the local stack {waited} (state {state.lower() or 'unknown'}). Its last lines:\n  {lines}\n"
                f"The whole log: headwater logs {name}. What did start still runs: headwater status, headwater down."
            )
        time.sleep(0.05)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One `up` or `down` of a home at a time; the second waits."""
    with Path(stack_folder(settings) / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
