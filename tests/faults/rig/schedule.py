"""When and where faults strike: drawn from a seed that is printed, and that plays the same schedule again."""

import random
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Schedule:
    """The draws of one test. `seed` is the run's, the test's name makes it this test's own; `is_full` as in `make faults`."""

    seed: int
    test: str
    is_full: bool

    @cached_property
    def chance(self) -> random.Random:
        return random.Random(f"{self.seed}/{self.test}")

    def choose(self, short: T, full: T) -> T:
        """The size of something: short in continuous integration, full in `make faults`."""
        return full if self.is_full else short
