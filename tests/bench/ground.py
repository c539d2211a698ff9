"""What a benchmark stands on: a stack of its own, scenes on it with topics and a bucket each, and the CPU that processes used."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from pipeline.config import Settings, load_settings
from pipeline.kafka_admin import open_admin
from pipeline.stack.lifecycle import start_stack
from pipeline.stack.programs import environment
from pipeline.stack.readiness import ensure_bucket
from pipeline.stack.status import read_processes
from pipeline.stack.supervision import kill_processes
from pipeline.topics import ensure_topics
from pipeline.topology import TOPICS, topic_name
from tests.conftest import free_port_offset, headwater


@contextmanager
def open_ground() -> Iterator[Settings]:
    """A stack without workers in a folder of its own, on free ports.

    Stopped and removed at the end with all that was started on it, also when this process is killed: another one, `clear_ground`,
    waits for the end of its standard input, which comes when this one closes it or is gone.
    """
    for name in [name for name in os.environ if name.startswith("HEADWATER_")]:
        del os.environ[name]
    folder = tempfile.mkdtemp(prefix="headwater-bench-")
    # Maintenance and the API run where a section asks for them, and nowhere else.
    without = {
        name: value
        for name, value in (("local_workers", 0), ("local_maintenance", False), ("local_api", False))
        if name in Settings.model_fields
    }
    settings = load_settings(home=Path(folder) / "home", port_offset=free_port_offset(), **without)
    command = [sys.executable, "-m", "tests.bench.ground", folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True):
        start_stack(settings)
        yield settings


@contextmanager
def open_folder() -> Iterator[Settings]:
    """A home for what needs no stack, removed at the end."""
    for name in [name for name in os.environ if name.startswith("HEADWATER_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        yield load_settings(home=Path(folder) / "home")


def clear_ground(folder: Path) -> None:
    """Kill every process of the folder, until there is none, and remove it."""
    while found := find_processes(folder):
        kill_processes(found, secs=0)
    shutil.rmtree(folder, ignore_errors=True)


def find_processes(folder: Path) -> list[psutil.Process]:
    """Processes that run in the folder (supervisord and what it keeps) or whose HEADWATER_HOME lies there (workers, commands, peers)."""
    inside = f"{folder}{os.sep}"
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if f"{process.cwd()}{os.sep}".startswith(inside) or process.environ().get("HEADWATER_HOME", "").startswith(inside):
                found.append(process)
    return found


@contextmanager
def open_scene(ground: Settings, name: str, partitions: int = 4, **overrides: Any) -> Iterator[Settings]:
    """Topics, a bucket, a consumer group and a home of their own on the stack; the topics and what the lake holds are removed at the end."""
    home = ground.home.parent / name
    home.mkdir()
    shutil.copy(ground.secrets_file, home)
    settings = load_settings(
        home=home,
        port_offset=ground.port_offset,
        local_workers=0,
        s3_bucket=f"b-{name}",
        topic_prefix=f"{name}-",
        worker_group=name,
        topic_partitions=partitions,
        **overrides,
    )
    ensure_bucket(settings)
    ensure_topics(settings)
    yield settings
    with open_admin(settings) as admin:
        admin.delete_topics([topic_name(settings, topic) for topic in TOPICS])
    # The stack's own files: by the store's interface it would take a call for each.
    shutil.rmtree(ground.home / "s3" / settings.s3_bucket, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def start_headwater(settings: Settings, *arguments: str, **overrides: str) -> subprocess.Popen[bytes]:
    """A `headwater` command in the background, silent; `overrides` are settings by lower-case name."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        env=os.environ | environment(settings) | {f"HEADWATER_{name.upper()}": value for name, value in overrides.items()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def preload(settings: Settings, count: int, seed: int = 1, encoding: str = "json") -> float:
    """Fill the topic with `count` events, each with an id of its own; returns the seconds that it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pipeline.cli", "simulate", "--preload", str(count), "--seed", str(seed), "--users", "20000"]
    command += ["--encoding", encoding]
    subprocess.run(command, env=os.environ | environment(settings), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def run_maintenance(settings: Settings, **overrides: str) -> None:
    """One run of maintenance, under its own guards; `overrides` are settings by lower-case name."""
    done = headwater(settings, "maintain", "--once", secs_max=300, **overrides)
    if done.returncode != 0:
        raise RuntimeError(f"maintenance ended with status {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")


def server_processes(ground: Settings) -> dict[str, psutil.Process]:
    """Kafka and S3."""
    return {found["name"]: psutil.Process(found["pid"]) for found in read_processes(ground) if found["pid"]}


def read_cpu(processes: Mapping[str, psutil.Process]) -> dict[str, float]:
    """CPU seconds that each process has used so far, its children that have ended included."""
    return {name: sum(process.cpu_times()[:4]) for name, process in processes.items()}


def read_busy() -> tuple[float, float]:
    """(busy, all) seconds of all cores of the machine so far."""
    times = psutil.cpu_times()
    total = sum(
        getattr(times, name) for name in ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal") if hasattr(times, name)
    )
    return total - times.idle - getattr(times, "iowait", 0.0), total


class Cost:
    """CPU of this process, all its threads, and time on the wall; use as `with cost:`, adds up."""

    def __init__(self) -> None:
        self.cpu_secs = self.wall_secs = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter(), _own_cpu()

    def __exit__(self, *_: object) -> None:
        self.wall_secs += time.perf_counter() - self._began[0]
        self.cpu_secs += _own_cpu() - self._began[1]

    def scale(self, share: float) -> None:
        """Keep this share of what was counted so far."""
        self.cpu_secs *= share
        self.wall_secs *= share


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.stdin.read()
    clear_ground(Path(sys.argv[1]))
