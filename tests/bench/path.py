"""What the whole path costs: real workers over a topic that is full, with Kafka, S3 and maintenance on the same cores."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import psutil

from pipeline.cli import COMMANDS
from pipeline.config import Settings
from tests.bench.ground import open_scene, preload, read_busy, read_cpu, server_processes, start_headwater
from tests.bench.rows import Budget, Row, Sizes
from tests.stream import metrics
from tests.worker_process import WorkerProcess, running

SECS_MAX = 300
# Records a second that arrive while the full topic is read, so that Kafka's own work is there as in life.
ARRIVING = 20_000
# Often, so that a measurement of seconds has its share of it.
MAINTENANCE_SECS = "5"
MAINTENANCE_SHARE_MAX = 0.25
# What the simulator must offer, so that it is never what is measured.
OFFERED_MIN = 150_000
# 100,000 events a second for each core's worth of CPU.
CPU_BUDGET = Budget("cpu_us", 10.0)


def measure_paths(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """Rows for each number of partitions and of workers, for a topic of Avro, and for the run with everything beside it."""
    for partitions in sizes.partition_counts:
        yield from _measure(ground, sizes.path_events, partitions, 1, is_beside=False)
    for workers in sizes.worker_counts[1:]:
        yield from _measure(ground, sizes.path_events, 4, workers, is_beside=False)
    yield from _measure(ground, sizes.path_events, 4, 1, is_beside=False, encoding="avro")
    yield from _measure(ground, sizes.path_events, 4, 1, is_beside=True)


def _measure(ground: Settings, count: int, partitions: int, worker_count: int, is_beside: bool, encoding: str = "json") -> Iterator[Row]:
    what = f"{worker_count} worker{'s' * (worker_count > 1)}, {partitions} partition{'s' * (partitions > 1)}"
    what += ", all Avro" * (encoding == "avro")
    name = f"path-{partitions}-{worker_count}{'-beside' * is_beside}-{encoding}"
    with open_scene(ground, name, partitions) as settings:
        secs = preload(settings, count, encoding=encoding)
        if (partitions, worker_count, is_beside, encoding) == (4, 1, False, "json"):
            budget = Budget("events_per_sec", OFFERED_MIN, is_least=True)
            yield Row(
                "path", "headwater simulate --preload", events_per_sec=count / secs, budget=budget, note="the command's start included"
            )
        yield from measure_workers(ground, settings, count, what + ", everything beside" * is_beside, worker_count, is_beside)


def measure_workers(
    ground: Settings, settings: Settings, count: int, what: str, worker_count: int = 1, is_beside: bool = False
) -> Iterator[Row]:
    """Rows for workers that land the `count` records of the topic, Kafka and S3 at work on the same cores.

    `is_beside`: more records go on arriving meanwhile, and maintenance runs. Each process beside the workers has a row of its own.
    """
    with ExitStack() as stack:
        workers = [WorkerProcess(settings, settings.home, number) for number in range(worker_count)]
        stack.enter_context(running(*workers))
        processes = server_processes(ground) | {f"worker {number}": psutil.Process(_pid(worker)) for number, worker in enumerate(workers)}
        if is_beside:
            processes |= _start_beside(settings, stack)
        # Starting, and the first flush, are not the steady state.
        first = wait_for_landed(workers, count // 20)
        began, cpu, busy = time.perf_counter(), read_cpu(processes), read_busy()
        last = wait_for_landed(workers, count)
        secs, busy_after = time.perf_counter() - began, read_busy()
        used = {key: value - cpu[key] for key, value in read_cpu(processes).items()}
    landed = last - first
    own = sum(value for key, value in used.items() if key.startswith("worker"))
    cores = (busy_after[0] - busy[0]) / (busy_after[1] - busy[1]) * psutil.cpu_count()
    note = f"{landed / own:,.0f} events/s per core of CPU used; {cores:.1f} of {psutil.cpu_count()} cores busy"
    yield Row("path", what, own / landed * 1e6, landed / secs, budget=CPU_BUDGET if is_beside else None, note=note)
    for key, value in used.items():
        if key == "maintenance":
            budget = Budget("ratio", MAINTENANCE_SHARE_MAX)
            yield Row("path", f"{what}: {key}", value / landed * 1e6, ratio=value / own, budget=budget, note="of the worker's CPU")
        elif not key.startswith("worker") or worker_count > 1:
            yield Row("path", f"{what}: {key}", value / landed * 1e6)


def _start_beside(settings: Settings, stack: ExitStack) -> dict[str, psutil.Process]:
    """Records that go on arriving and, where there is one, the maintenance service; ended with `stack`."""
    arriving = ("simulate", "--preload", str(SECS_MAX * ARRIVING), "--rate", str(ARRIVING), "--seed", "2")
    started = {"producer": start_headwater(settings, *arriving)}
    if "maintain" in COMMANDS:
        started["maintenance"] = start_headwater(settings, "maintain", maintain_secs=MAINTENANCE_SECS)
    for process in started.values():
        stack.callback(process.wait)
        stack.callback(process.kill)
    return {name: psutil.Process(process.pid) for name, process in started.items()}


def wait_for_landed(workers: list[WorkerProcess], count: int) -> float:
    """Records that the workers together have landed, once they are `count` or more."""
    end = time.monotonic() + SECS_MAX
    while time.monotonic() < end:
        landed = sum(_landed(worker) for worker in workers)
        if landed >= count:
            return landed
        time.sleep(0.1)
    raise TimeoutError(f"{count} records have not landed after {SECS_MAX} s; see {workers[0].log}")


def _landed(worker: WorkerProcess) -> float:
    if not worker.is_running:
        raise RuntimeError(f"a worker ended by itself; its log: {worker.log.read_text()[-2000:]}")
    try:
        return float(metrics(worker)["headwater_records_consumed_total"])
    except OSError:
        # It does not serve them yet.
        return 0.0


def _pid(worker: WorkerProcess) -> int:
    assert worker.process is not None
    return worker.process.pid
