"""Row 11: a worker that may open no file and no connection."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.more_rows import wait_for_more_rows
from tests.faults.wire.proxied import worker_behind
from tests.stream import landed_count, lines
from tests.tcp_proxy import TcpProxy, proxy_to
from tests.worker_process import running, wait_until

# The full run takes minutes.
pytestmark = [pytest.mark.timeout(1800), pytest.mark.unforked]


@contextmanager
def without_descriptors(worker: FaultWorker, wire: TcpProxy) -> Iterator[None]:
    """What is open stays open, and nothing can be opened; and its connections are broken."""
    assert worker.process is not None
    pid = worker.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, usual[1]))
    wire.cut()
    wire.mend()
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)


def count_failures(worker: FaultWorker) -> int:
    """How often something failed and was tried again; /metrics cannot answer while nothing can be opened."""
    return len(lines(worker.log, "WARNING", "Waiting", "Too many open files"))


def has_failed(worker: FaultWorker, before: int) -> bool:
    return count_failures(worker) > before


def test_fault_11_a_worker_without_a_file_descriptor_waits_and_goes_on_by_itself(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    resume_secs = list[float]()
    with proxy_to(settings.s3_port) as wire:
        worker = worker_behind(settings, tmp_path, s3=wire)
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until(lambda: landed_count(settings) > 0, "rows")
            for _ in range(schedule.choose(3, 20)):
                failures = count_failures(worker)
                with without_descriptors(worker, wire):
                    wait_until(partial(has_failed, worker, failures), "it meets the limit")
                    time.sleep(schedule.chance.uniform(0, schedule.choose(1, 10)))
                resume_secs.append(wait_for_more_rows(settings))
            load.stop()
            wait_for_rows(settings, load.count)
            assert worker.is_running
            assert worker.stop() == 0
    proof.note(injections=len(resume_secs), resume_secs=resume_secs, restarts=0)
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_11_a_worker_without_a_file_descriptor_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with proxy_to(settings.s3_port) as wire:
        worker = worker_behind(settings, tmp_path, s3=wire, guards_off="offset_check,retry")
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until(lambda: landed_count(settings) > 0, "rows")
            with without_descriptors(worker, wire):
                wait_until(lambda: len(lines(worker.log, "A flush failed")) >= 2, "flushes are left")
            wait_for_more_rows(settings)
            load.stop()
            assert worker.stop(60) == 0
    proof.note(injections=1)
    proof.show(judge(settings, load.ledger).shown("lost"))
