"""What a section measured: rows of the one table, and the budgets that some of them are held against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """A limit on the figure `of` of a row (cpu_us, events_per_sec, value, ratio): at most it, or with `is_least` at least."""

    of: str
    limit: float
    is_least: bool = False


@dataclass(frozen=True)
class Row:
    """One line of the table; `section` and `what` name it in all runs.

    `cpu_us`: microseconds of CPU an event, of all threads; `events_per_sec`: by the clock on the wall; `value` with its `unit`
    where it is neither; `ratio`: its CPU an event as a multiple of what the section compares with; `note`: what else must be said; `is_failed`: the section ended here.
    """

    section: str
    what: str
    cpu_us: float | None = None
    events_per_sec: float | None = None
    value: float | None = None
    unit: str = ""
    ratio: float | None = None
    budget: Budget | None = None
    note: str = ""
    is_failed: bool = False

    @property
    def is_met(self) -> bool | None:
        """Whether the budget holds; None when there is none."""
        if self.budget is None:
            return None
        found = getattr(self, self.budget.of)
        return found is not None and (found >= self.budget.limit if self.budget.is_least else found <= self.budget.limit)


@dataclass(frozen=True)
class Sizes:
    """How much is measured: events by section, and what a quick run leaves out."""

    name: str
    stage_events: int
    path_events: int
    partition_counts: tuple[int, ...]
    worker_counts: tuple[int, ...]
    freshness_secs: float
    window_keys: int
    peer_events: int
    slow_peer_events: int
    api_secs: float
    endpoints: int
    answer_events: int


FULL = Sizes("full", 300_000, 1_000_000, (1, 4, 16), (1, 2), 40, 10_000_000, 400_000, 60_000, 15, 1_000_000, 10_000_000)
QUICK = Sizes("quick", 100_000, 150_000, (4,), (1,), 10, 1_000_000, 60_000, 10_000, 4, 100_000, 200_000)
