"""Many interleavings, each known by its draws; a violation is made short and told step by step."""

import logging
import multiprocessing
import re
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.faults.model.choices import Choices
from tests.faults.model.world import play

_PORTION = 5_000


@dataclass(frozen=True)
class Violation:
    """What was violated, by the interleaving of this number, and its draws."""

    what: str
    number: int
    made: Sequence[int]

    @property
    def kind(self) -> str:
        return re.sub(r"\d+", "N", self.what)


@dataclass
class Explored:
    """The hash of each interleaving's draws, the steps of all of them, and the first violation, which is of the last."""

    hashes: "array[int]" = field(default_factory=lambda: array("q"))
    step_count: int = 0
    violation: Violation | None = None


def explore(seed: int, numbers: range) -> Explored:
    """Play the interleavings of these numbers, up to the first that violates something."""
    found = Explored()
    with _without_logs():
        for number in numbers:
            choices = Choices(seed * 10**9 + number)
            error, world = play(choices)
            found.hashes.append(hash(tuple(choices.made)))
            found.step_count += world.step_count
            if error is not None:
                found.violation = Violation(str(error), number, choices.made)
                break
    return found


def explore_widely(seed: int, count: int, processes: int) -> Iterator[Explored]:
    """The same in several processes, each of one thread."""
    portions = [range(first, min(first + _PORTION, count)) for first in range(0, count, _PORTION)]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(explore, [seed] * len(portions), portions)


def shorten(violation: Violation) -> Violation:
    """The same kind of violation with draws left out, or made 0, as long as it stays."""
    made, what = list(violation.made), violation.what
    size = len(made) // 2
    with _without_logs():
        while size:
            place = 0
            while place < len(made):
                before, after = made[:place], made[place + size :]
                for tried in (before + after, before + [0] * len(made[place : place + size]) + after):
                    error, _ = play(Choices(given=tried))
                    if (
                        error is not None
                        and Violation(str(error), 0, ()).kind == violation.kind
                        and (len(tried), tried) < (len(made), made)
                    ):
                        made, what = tried, str(error)
                        break
                else:
                    place += size
            size //= 2
    return Violation(what, violation.number, made)


def tell(violation: Violation) -> str:
    """What happened, line by line, to the violation."""
    with _without_logs():
        error, world = play(Choices(given=violation.made), is_traced=True)
    assert error is not None, "the draws do not replay"
    return "\n".join([f"draws: {list(violation.made)}", *(world.trace or ()), f"=> {error}"])


@contextmanager
def _without_logs() -> Iterator[None]:
    """A take-over says what it finds; a million would fill a disk."""
    logger = logging.getLogger("pipeline.takeover")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
