"""What a process holds over time, and whether it grows."""

import statistics
import threading
import time

import psutil

from tests.faults.rig.beside import Beside


class Trend:
    """Memory and descriptors of a process, each second while its `with` block lasts.

    Memory is the kernel's RssAnon: what is mapped from disk, as dedup keys beyond their budget are, is the machine's to take back.
    """

    def __init__(self, pid: int) -> None:
        self.at_mins: list[float] = []
        self.anon_bytes: list[float] = []
        self.descriptors: list[float] = []
        self._process = psutil.Process(pid)
        self._thread = Beside(self._run)

    def __enter__(self) -> "Trend":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    @property
    def bytes_by_quarter(self) -> list[int]:
        """The median of memory in each quarter of the time: whether it grows to the end, or to what it needs."""
        length = max(len(self.anon_bytes) // 4, 1)
        return [round(statistics.median(self.anon_bytes[start : start + length])) for start in range(0, 4 * length, length)]

    def slopes_per_min(self, warm_up: float) -> tuple[float, float]:
        """Bytes and descriptors a minute, by least squares, without the first share `warm_up` of the time."""
        first = int(len(self.at_mins) * warm_up)
        at = self.at_mins[first:]
        memory, descriptors = (statistics.linear_regression(at, values[first:]).slope for values in (self.anon_bytes, self.descriptors))
        return memory, descriptors

    def _run(self, is_done: threading.Event) -> None:
        start = time.monotonic()
        while not is_done.wait(1):
            with open(f"/proc/{self._process.pid}/status") as file:
                (anon,) = (int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon:"))
            self.at_mins.append((time.monotonic() - start) / 60)
            self.anon_bytes.append(anon)
            self.descriptors.append(self._process.num_fds())
