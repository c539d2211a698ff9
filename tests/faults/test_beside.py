"""A thread beside a test does not end in silence."""

import threading
import time

import pytest

from tests.faults.rig.beside import Beside
from tests.worker_process import wait_until


def test_what_ends_a_thread_is_raised_to_who_looks_and_to_who_waits_for_its_end() -> None:
    def fail(is_done: threading.Event) -> None:
        raise OSError("the store is away")

    beside = Beside(fail)
    beside.start()
    time.sleep(0.1)
    with pytest.raises(OSError, match="the store is away"):
        beside.check()
    with pytest.raises(OSError, match="the store is away"):
        beside.stop()


def test_a_thread_that_was_told_to_end_raises_nothing() -> None:
    turns: list[float] = []

    def turn(is_done: threading.Event) -> None:
        while not is_done.wait(0.01):
            turns.append(time.monotonic())

    beside = Beside(turn)
    beside.start()
    wait_until(lambda: len(turns) > 1, "it turns", 10)
    beside.check()
    beside.stop()
    count = len(turns)
    time.sleep(0.05)
    assert len(turns) == count
