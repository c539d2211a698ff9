"""What a schedule draws: from a seed, or from the list of an earlier run, which replays it."""

import random
from collections.abc import Sequence


class Choices:
    """`made` is all that was drawn. After the end of a given list every draw is 0, by which nothing happens."""

    def __init__(self, seed: int | None = None, given: Sequence[int] = ()) -> None:
        self.made: list[int] = []
        self._given = iter(given) if seed is None else None
        self._random = random.Random(seed).random

    def pick(self, count: int) -> int:
        """One of 0 to count - 1."""
        found = int(self._random() * count) if self._given is None else next(self._given, 0) % count
        self.made.append(found)
        return found

    def happens(self, probability: float) -> bool:
        found = int(self._random() < probability) if self._given is None else next(self._given, 0) % 2
        self.made.append(found)
        return found == 1
