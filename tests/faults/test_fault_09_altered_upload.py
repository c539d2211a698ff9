"""Row 9: what is uploaded arrives torn, shorter or with another bit: files and commits."""

from pathlib import Path

import botocore.exceptions
import duckdb
import pytest

from pipeline.config import Settings
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.wire.proxied import COMMIT, UPLOAD, LoopLag, wait_until_it_lands, worker_behind
from tests.faults.wire.proxy import fault_proxy
from tests.faults.wire.proxy_rules import Fault
from tests.stream import landed_count, metrics
from tests.worker_process import running, wait_until

FAULTS: tuple[Fault, ...] = ("truncate", "flip", "tear")


def test_fault_09_what_was_altered_on_its_way_is_never_committed(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    times = schedule.choose(1, 10)
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy)
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            lag = LoopLag(worker)
            for path in (UPLOAD, COMMIT):
                for fault in FAULTS:
                    proxy.inject(fault, method="PUT", path=path, share=0.5, times=times)
            wait_until(lambda: sum(map(proxy.count, FAULTS)) == 6 * times, "uploads that are altered", 240)
            load.stop()
            wait_for_rows(settings, load.count, 240)
            proof.note(loop_lag_p99_secs=lag.quantile(0.99), flushes_tried_again=metrics(worker)["headwater_flush_failures_total"])
            assert worker.stop(60) == 0
        refused = {status: count for fault in FAULTS for status, count in proxy.answers(fault).items()}
        proof.note(
            injections=sum(map(proxy.count, FAULTS)),
            altered_bodies_refused=proxy.answers("flip").get(400, 0) + proxy.answers("truncate").get(400, 0),
        )
    assert all(status >= 400 for status in refused), f"the store took what was altered: {refused}"
    assert proof.figures["altered_bodies_refused"] == 4 * times
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())


@pytest.mark.full
@pytest.mark.parametrize("path", [UPLOAD, COMMIT], ids=["file", "commit"])
@pytest.mark.parametrize("fault", ["truncate", "flip"])
def test_fault_09_what_was_altered_on_its_way_is_never_committed_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof, path: str, fault: Fault
) -> None:
    with fault_proxy(settings.s3_port, schedule.chance) as proxy:
        worker = worker_behind(settings, tmp_path, s3=proxy, guards_off="checksums")
        with Load(settings, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
            wait_until_it_lands(settings)
            proxy.inject(fault, method="PUT", path=path, times=3)
            wait_until(lambda: proxy.count(fault) >= 1, "uploads that are altered", 240)
            if path == UPLOAD:
                before = landed_count(settings)
                wait_until(lambda: landed_count(settings) > before, "the commit that names it", 240)
            load.stop()
            taken = proxy.answers(fault)
            worker.kill()
        proof.note(injections=proxy.count(fault))
    assert set(taken) == {200}, "the store was not told"
    proof.show(defect_of(settings, load))


def defect_of(settings: Settings, load: Load) -> str:
    """What is wrong with the lake, if it can be read at all. What had not landed when the worker was killed does not count."""
    try:
        altered = judge(settings, load.ledger).found.altered
        return f"altered {altered}" if altered else ""
    except (ValueError, OSError, duckdb.Error, botocore.exceptions.ClientError) as error:
        return f"the lake cannot be read: {type(error).__name__}: {str(error).splitlines()[0]}"
