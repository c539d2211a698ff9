"""Row 25: a worker is cut off from Kafka, in one direction or both, and from S3, for longer than its session; another one takes over; then what was under way arrives, or never does."""

import time
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import count_doubled, judge, wait_for_rows
from tests.faults.wire.proxied import LoopLag, metric, wait_until_it_lands, worker_behind
from tests.faults.wire.proxy import FaultProxy, fault_proxy
from tests.faults.wire.proxy_rules import Fault, Side
from tests.stream import landed_count, lines, metrics
from tests.worker_process import running, wait_until

# How a worker is cut off: what is under way arrives late, or never; (direction towards Kafka, direction towards S3) in which nothing flows.
PARTITIONS: tuple[tuple[Fault, tuple[Side | None, Side | None]], ...] = (
    ("hold", ("both", "both")),
    ("hold", ("up", "down")),
    # Taking over again is under way by now, and Kafka owes it answers that never come.
    ("black_hole", ("both", None)),
    ("hold", ("down", None)),
    ("black_hole", (None, "both")),
)
PARTITION_COUNT = 4


def assigned(worker: FaultWorker, settings: Settings) -> float:
    """Partitions of raw-events that a worker has."""
    return metric(worker, "headwater_partitions_assigned", topic=f"{settings.topic_prefix}raw-events")


class Apart:
    """Cuts a worker off in some directions while the block lasts."""

    def __init__(self, kafka: FaultProxy, s3: FaultProxy, fault: Fault, sides: tuple[Side | None, Side | None]) -> None:
        self._fault, self._sides = fault, list(zip((kafka, s3), sides, strict=True))

    def __enter__(self) -> None:
        self._rules = [(proxy, proxy.inject(self._fault, side=side)) for proxy, side in self._sides if side is not None]

    def __exit__(self, *_: object) -> None:
        for proxy, rule in self._rules:
            proxy.mend(rule)


def run_apart(
    settings: Settings, folder: Path, schedule: Schedule, proof: Proof, partitions: int, guards_off: str = ""
) -> tuple[Load, int]:
    """Two workers, one of them cut off again and again; what both landed is for the caller to judge. Returns what was doubled before that, too."""
    with fault_proxy(settings.kafka_port, schedule.chance, "kafka") as kafka, fault_proxy(settings.s3_port, schedule.chance) as s3:
        far = worker_behind(settings, folder, s3=s3, kafka=kafka, guards_off=guards_off)
        near = worker_behind(settings, folder, 1, guards_off=guards_off)
        resume_secs = []
        with Load(settings, folder, schedule.chance, per_sec=300) as load, running(far, near):
            wait_until_it_lands(settings)
            wait_until(lambda: assigned(far, settings) == assigned(near, settings) == PARTITION_COUNT / 2, "both have partitions", 240)
            before, lag = count_doubled(settings), LoopLag(near)
            for fault, sides in PARTITIONS[:partitions]:
                with Apart(kafka, s3, fault, sides):
                    if sides[0] is not None:
                        wait_until(lambda: assigned(near, settings) == PARTITION_COUNT, "the other takes over", 240)
                    time.sleep(schedule.choose(2.0, 8.0))
                ended, waiting = time.monotonic(), load.count
                wait_until(lambda waiting=waiting: landed_count(settings) >= waiting, "what waited", 240)  # type: ignore[misc]
                resume_secs.append(round(time.monotonic() - ended, 2))
                wait_until(lambda: assigned(near, settings) == PARTITION_COUNT / 2, "it is back", 240)
            load.stop()
            wait_for_rows(settings, load.count, 240)
            proof.note(
                fenced=metrics(far)["headwater_partitions_fenced_total"], loop_lag_p99_secs=lag.quantile(0.99), resume_secs=resume_secs
            )
            for worker in (far, near):
                assert worker.stop(60) == 0
        proof.note(injections=sum(side is not None for _, sides in PARTITIONS[:partitions] for side in sides))
        proof.note_workers(far, near)
    return load, before


@pytest.mark.timeout(900)
def test_fault_25_who_was_cut_off_and_comes_back_lands_nothing_twice(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    load, _ = run_apart(settings, tmp_path, schedule, proof, schedule.choose(2, len(PARTITIONS)))
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_25_who_was_cut_off_and_comes_back_lands_nothing_twice_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    load, before = run_apart(settings, tmp_path, schedule, proof, 1, guards_off="offset_check")
    proof.show(judge(settings, load.ledger).shown("duplicate", before))


def test_fault_25_who_is_cut_off_from_everything_leaves_when_told(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with fault_proxy(settings.kafka_port, schedule.chance, "kafka") as kafka, fault_proxy(settings.s3_port, schedule.chance) as s3:
        worker = worker_behind(settings, tmp_path, s3=s3, kafka=kafka)
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            with kafka.injected("refuse"), s3.injected("refuse"):
                # Fetches are tried again by now, and wait between two tries.
                wait_until(lambda: bool(lines(worker.log, "Failed fetch messages")), "it notices", 120)
                assert worker.stop(60) == 0
            worker.start()
            load.stop()
            wait_for_rows(settings, load.count, 240)
            assert worker.stop(60) == 0
        proof.note(injections=kafka.count("refuse") + s3.count("refuse"))
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())
