"""The ledger of the fault tests is the truth that all is held against: nothing that was added to it is missing."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rig.beside import Beside
from tests.faults.rig.ledger import Ledger


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_nothing_that_several_threads_add_while_it_is_written_is_missing(tmp_path: Path, hasty_threads: None) -> None:
    ledger = Ledger(tmp_path / "ledger.ndjson")

    def add(partition: int) -> None:
        for offset in range(2_000):
            ledger.add(None, partition, offset, b"value")

    def flush(is_done: threading.Event) -> None:
        while not is_done.is_set():
            ledger.flush()

    adding = [threading.Thread(target=add, args=[partition]) for partition in range(4)]
    flushing = Beside(flush, flush)
    flushing.start()
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join()
    flushing.stop()
    assert ledger.count == 8_000
    assert sorted((entry["partition"], entry["offset"]) for entry in ledger.entries()) == [(p, n) for p in range(4) for n in range(2_000)]
