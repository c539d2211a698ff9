"""How fast what waited lands, once whatever was away is back."""

import time
from dataclasses import dataclass

from pipeline.config import Settings
from tests.faults.rig.load import Load
from tests.stream import landed_count
from tests.worker_process import wait_until

# A worker of the tests flushes as often; what landed at once landed in that time.
FLUSH_SECS = 0.3


@dataclass(frozen=True)
class Drain:
    """`resume_secs` from the fault's end until rows land again; `waited_secs` the seconds of input that had been made by then, and that the lake did
    not have, whether Kafka had it or its producer; `per_sec` rows landed from then until all of that had landed, while the input went on."""

    resume_secs: float
    waited_secs: float
    per_sec: float


def wait_for_drain(settings: Settings, load: Load, ended_at: float, landed_before: int) -> Drain:
    """Wait until what waited has landed, of a fault that ended at `ended_at` (monotonic clock), and before whose end `landed_before` rows had landed."""
    wait_until(lambda: landed_count(settings) > landed_before, "rows land again", secs_max=240)
    resumed_at, wanted = time.monotonic(), load.due
    while (landed := landed_count(settings)) < wanted:
        assert time.monotonic() < resumed_at + 240, "what waited does not land"
        time.sleep(0.05)
    drain_secs = time.monotonic() - resumed_at + FLUSH_SECS
    return Drain(resumed_at - ended_at, (wanted - landed_before) / load.per_sec, (landed - landed_before) / drain_secs)
