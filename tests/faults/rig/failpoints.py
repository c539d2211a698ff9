"""Failpoints: what a worker under test does to itself when it comes to a named step. Without a plan none of this is imported.

A plan is JSON: [{"at": STEP or "random", "pass": N, "do": "kill" | "stop"}, ...]. `pass`: how often the step is let pass first. "random": `pass`
seconds after the first record, at the first moment at which records are held. What struck is a line in the journal: at, pid, held_bytes,
at_monotonic. Held is what was consumed and is in no commit to `events`.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = (
    "before dead_letters upload",
    "after dead_letters upload",
    "before dead_letters commit",
    "after dead_letters commit",
    "before events upload",
    "after events upload",
    "before events commit",
    "after events commit",
    "before Kafka commit",
    "after Kafka commit",
)
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Failpoints:
    """Strikes as planned; `waiting_bytes` asks how many bytes were consumed and wait for a flush, `flushing_bytes` how many are in one."""

    def __init__(self, plan: str, journal: Path, waiting_bytes: Callable[[], int], flushing_bytes: Callable[[], int]) -> None:
        self._left: list[dict[str, Any]] = json.loads(plan)
        self._journal, self._waiting_bytes, self._flushing_bytes = journal, waiting_bytes, flushing_bytes
        self._step = ""
        for point in [point for point in self._left if point["at"] == "random"]:
            threading.Thread(target=self._strike_at_random, args=[point], daemon=True).start()

    def run_step(self, step: str) -> None:
        """Called with the name of each step before it is done."""
        self._step = step
        for point in [point for point in self._left if point["at"] == step]:
            point["pass"] -= 1
            if point["pass"] < 0:
                self._left.remove(point)
                self._strike(point)

    def _held_bytes(self) -> int:
        # What was flushed counts as held until the flush has ended; from this step on it is committed.
        return self._waiting_bytes() + (0 if self._step == "after events commit" else self._flushing_bytes())

    def _strike_at_random(self, point: dict[str, Any]) -> None:
        # Not in the time that a worker needs to start and to join: each would strike its first batch.
        self._wait_for_records()
        time.sleep(point["pass"])
        self._wait_for_records()
        self._strike(point)

    def _wait_for_records(self) -> None:
        while self._held_bytes() == 0:
            time.sleep(0.001)

    def _strike(self, point: dict[str, Any]) -> None:
        line = {"at": point["at"], "pid": os.getpid(), "held_bytes": self._held_bytes(), "at_monotonic": time.monotonic()}
        with self._journal.open("a") as file:
            file.write(json.dumps(line) + "\n")
        signal.pthread_kill(threading.get_ident(), _SIGNALS[point["do"]])


def read_journal(journal: Path) -> list[dict[str, Any]]:
    """What struck, in order; [] before anything did."""
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
