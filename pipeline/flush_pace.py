"""When a worker flushes: soon enough to be fresh, and seldom enough that all workers together do not crowd the one log of the table.

Every worker commits to the same Delta log, where one commit a version wins and the others look again: eight workers that each flush
once a second are eight commits a second, and the time to find a free version grows with their number. So each leaves
`workers * commit_secs_min` between its flushes: however many there are, the table gets one commit in `commit_secs_min` at most.
"""

import math
from collections.abc import Iterable


def count_committers(streams: Iterable[tuple[int, int]]) -> int:
    """How many workers commit, this one among them, judged by its own share: of each stream (partitions of the topic, of these its own).

    Kafka's group spreads partitions evenly, so nobody has to be asked.
    """
    return max((math.ceil(partition_count / own) for partition_count, own in streams if own), default=1)


class FlushPace:
    """Says when the next flush is due; times are of the monotonic clock, seconds.

    `secs_max` is the age at which buffered records are flushed, `commit_secs_min` the time between two commits of all workers together.
    """

    def __init__(self, secs_max: float, commit_secs_min: float) -> None:
        self._secs_max, self._commit_secs_min = secs_max, commit_secs_min
        self._began_at = -math.inf
        self._commits = 1
        self.committers = 1

    @property
    def secs_apart(self) -> float:
        """Time between the beginnings of two flushes of this worker, at the least."""
        return self._commits * self.committers * self._commit_secs_min

    def begin(self, now: float, commits: int = 1) -> None:
        """A flush begins, which makes a commit for each stream that has something."""
        self._began_at, self._commits = now, max(1, commits)

    def due_at(self, waiting_since: float, is_full: bool) -> float:
        """When records that wait since then are flushed: at once when `is_full`, but never too soon after the flush before."""
        wanted = waiting_since if is_full else waiting_since + self._secs_max
        return max(wanted, self._began_at + self.secs_apart)
