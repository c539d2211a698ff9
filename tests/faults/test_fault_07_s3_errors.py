"""Row 7: S3 answers 500 or 503 SlowDown, to some requests, to more, to all."""

import time
from pathlib import Path

import deltalake
import pytest

from pipeline.config import Settings
from pipeline.stores import build_store
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.more_rows import wait_for_more_rows
from tests.faults.wire.proxied import LoopLag, wait_until_it_lands, worker_behind
from tests.faults.wire.proxy import FaultProxy, fault_proxy
from tests.stream import landed_count, lines, metrics
from tests.worker_process import running, wait_until

RECOVERY_SECS_MAX = 60.0
SHARES = (0.01, 0.1, 0.5, 1.0)


def let_fail(settings: Settings, proxy: FaultProxy, share: float, secs: float, load: Load) -> float:
    """For so long, and until one did, that share of all requests fails, as often by 500 as by 503.

    Returns the greatest age of a record that had not landed, in seconds.
    """
    # Of what the first rule leaves over, the second takes as much as the first took of all.
    second = 1.0 if share == 1 else share / 2 / (1 - share / 2)
    with proxy.injected("answer", share=share / 2, status=500), proxy.injected("answer", share=second, status=503):
        end, sent, age, before = time.monotonic() + secs, list[tuple[float, int]](), 0.0, proxy.count("answer")
        while (now := time.monotonic()) < end or proxy.count("answer") == before:
            assert now < end + 120, "no request was struck"
            sent.append((now, load.count))
            landed = landed_count(settings)
            age = max(age, now - next(moment for moment, count in sent if count > landed or moment == now))
            time.sleep(0.5)
    return age


def test_fault_07_s3_that_answers_errors_is_waited_out(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy)
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            lag = LoopLag(worker)
            for share in SHARES:
                secs = schedule.choose(5.0, 300.0) if share == 1 else schedule.choose(1.5, 60.0)
                age = let_fail(settings, proxy, share, secs, load)
                proof.note(**{f"freshness_secs_at_{share * 100:g}_percent": round(age, 2)})
            ended, waiting = time.monotonic(), load.count
            wait_until(lambda: landed_count(settings) >= waiting, "what waited", 240)
            resume_secs = time.monotonic() - ended
            load.stop()
            wait_for_rows(settings, load.count, 240)
            proof.note(
                injections=proxy.count("answer"),
                flushes_tried_again=metrics(worker)["headwater_flush_failures_total"],
                loop_lag_p99_secs=lag.quantile(0.99),
                resume_secs=[round(resume_secs, 2)],
            )
            assert metrics(worker)["headwater_flush_failures_total"] > 0, "the flush was never tried again"
            assert worker.stop(60) == 0
    assert proof.figures["injections"] >= 3
    assert resume_secs < RECOVERY_SECS_MAX
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_07_s3_that_answers_errors_is_waited_out_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy, guards_off="offset_check,retry")
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            with proxy.injected("answer", status=503):
                wait_until(lambda: len(lines(worker.log, "A flush failed")) >= 2, "flushes are left")
            wait_for_more_rows(settings)
            load.stop()
            assert worker.stop(60) == 0
        proof.note(injections=proxy.count("answer"))
    proof.show(judge(settings, load.ledger).shown("lost"))


def test_fault_07_a_worker_that_starts_among_errors_waits_for_the_lake(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy)
        with Load(settings, tmp_path, schedule.chance, per_sec=100) as load:
            with running(worker):
                wait_until_it_lands(settings)
                assert worker.stop() == 0
            # delta-rs says it with another kind of error when a checkpoint cannot be read.
            store = build_store(settings)
            deltalake.DeltaTable(store.uri("lake/events"), storage_options=store.delta_options()).create_checkpoint()
            errors = proxy.inject("answer", method="GET", path=r"\.checkpoint\.parquet")
            with running(worker):
                wait_until(lambda: bool(lines(worker.log, "Waiting", "for the lake's tables")), "it says what it waits for")
                proxy.mend(errors)
                load.stop()
                wait_for_rows(settings, load.count)
                assert worker.stop() == 0
    proof.note(injections=proxy.count("answer"))
    proof.note_findings(judge(settings, load.ledger).require())
