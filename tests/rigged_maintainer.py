"""`headwater maintain --once` that dies or stops by its own hand before a named step: `python -m tests.rigged_maintainer`.

Environment: RIG_STEP names the step; RIG_SIGNAL is KILL (leave without a word, as kill -9 does) or STOP (until somebody sends SIGCONT).
"""

import os
import signal

from pipeline.config import load_settings
from pipeline.maintenance.metrics import MaintenanceMetrics
from pipeline.maintenance.run import TableReport, build_maintenance
from tests.maintained import SMALL


def main() -> None:
    """One run under the rules of the tests, on the clock of the machine."""
    reports: list[TableReport] = []
    for step in build_maintenance(load_settings(), MaintenanceMetrics(), SMALL).run(reports):
        if step == os.environ["RIG_STEP"]:
            if os.environ["RIG_SIGNAL"] == "KILL":
                os._exit(137)
            os.kill(os.getpid(), signal.SIGSTOP)
    print("left after its run")


if __name__ == "__main__":
    main()
