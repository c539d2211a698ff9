"""A worker that dies by its own hand at one step of landing after another, and at last lands what is left: for streams other than raw-events."""

from collections import Counter
from collections.abc import Callable, Sequence

from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.worker_process import running, wait_until

WAIT_SECS_MAX = 180


def land_under_kills(worker: FaultWorker, load: Load, steps: Sequence[str], has_landed: Callable[[int], bool]) -> None:
    """Under load, so many starts as steps, each ended by kill -9 at its step in the third flush; then, without load, one that lands all.

    `has_landed` is asked whether so many records are in the lake.
    """
    plans = [[{"at": step, "pass": 2, "do": "kill"}] for step in steps]
    worker.plan = plans[0]
    with load, running(worker):
        for plan in [*plans[1:], []]:
            wait_until(lambda: not worker.is_running, f"the worker kills itself: {worker.plan}", WAIT_SECS_MAX)
            if not plan:
                load.stop()
            worker.plan = plan
            worker.start()
        wait_until(lambda: has_landed(load.count), f"{load.count} rows", WAIT_SECS_MAX)
        assert worker.stop(60) == 0


def acknowledged(load: Load) -> Counter[tuple[int, int, int]]:
    """(partition, offset, payload hash) of every record that Kafka has."""
    return Counter((entry["partition"], entry["offset"], entry["payload_hash"]) for entry in load.ledger.entries())
