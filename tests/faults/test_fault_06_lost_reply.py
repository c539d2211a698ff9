"""Row 6: a commit is in the lake and its reply is lost, or is an error: the outcome is unknown until the table is looked at."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.wire.proxied import DEAD_LETTERS_COMMIT, EVENTS_COMMIT, LoopLag, metric, wait_until_it_lands, worker_behind
from tests.faults.wire.proxy import FaultProxy, fault_proxy
from tests.faults.wire.proxy_rules import Fault
from tests.stream import metrics
from tests.worker_process import running, wait_until

# Cut off, or answered 500 by something on the way.
FAULTS: tuple[Fault, ...] = ("cut_after", "answer_after")


def answers(proxy: FaultProxy, status: int) -> int:
    """How many of the replies that were lost said this: 200 a commit that is in the table, 412 one that delta-rs' client had sent before."""
    return sum(proxy.answers(fault).get(status, 0) for fault in FAULTS)


def lose_replies(proxy: FaultProxy, count: int, paths: Sequence[str] = (EVENTS_COMMIT, DEAD_LETTERS_COMMIT)) -> None:
    """Until so many commits are in each table whose replies were lost."""
    for path in paths:
        before = answers(proxy, 200)
        rules = [proxy.inject(fault, method="PUT", path=path, share=0.4, status=500) for fault in FAULTS]
        wait_until(lambda before=before: answers(proxy, 200) >= before + count, "replies that are lost", 240)  # type: ignore[misc]
        for rule in rules:
            proxy.mend(rule)


def test_fault_06_lost_replies_are_found_out_by_looking(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy)
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            lag = LoopLag(worker)
            lose_replies(proxy, schedule.choose(3, 30))
            load.stop()
            wait_for_rows(settings, load.count, 240)
            wait_until(lambda: metrics(worker)["headwater_records_consumed_total"] == load.count, "all is counted", 120)
            unknown = metric(worker, "headwater_unknown_outcomes_total")
            resolved = metric(worker, "headwater_unknown_outcomes_resolved_total")
            committed = metric(worker, "headwater_unknown_outcomes_resolved_total", found="committed")
            proof.note(loop_lag_p99_secs=lag.quantile(0.99))
            assert worker.stop(60) == 0
        proof.note(injections=answers(proxy, 200), outcomes_unknown=unknown, outcomes_resolved=resolved, outcomes_found_committed=committed)
        proof.note(sent_again_by_the_client=answers(proxy, 412))
        assert unknown == resolved, "an unknown outcome was never resolved"
        assert committed == answers(proxy, 200), "a commit that had lost its reply was not found"
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
def test_fault_06_lost_replies_are_found_out_by_looking_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy, guards_off="unknown_outcome")
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            # Of dead_letters one would do for good: refused for what it does not know of, it would commit the same again and again.
            lose_replies(proxy, 3, [EVENTS_COMMIT])
            load.stop()
            wait_for_rows(settings, load.count, 240)
            wait_until(lambda: metrics(worker)["headwater_inflight_bytes"] == 0, "nothing waits any more", 120)
            assert worker.stop(60) == 0
        proof.note(injections=answers(proxy, 200))
    proof.show(judge(settings, load.ledger).shown("duplicate"))
