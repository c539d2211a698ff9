"""A funnel in plain Python, from its definition alone: what `queries/macros/funnel.sql` must say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Matches = Callable[["Event", str], bool]


@dataclass(frozen=True)
class Event:
    """An event of one subject: minutes since some moment, the place of its record, its name and whether it lies on the days asked for."""

    minute: int
    record: tuple[str, int]
    name: str
    is_on_days: bool = True


@dataclass(frozen=True)
class Attempt:
    """The events that served the steps, one after the other, and that with which the attempt began."""

    began: Event
    served: tuple[Event, ...]

    def minutes(self) -> list[int]:
        """For each step, how long after the beginning it and all before it were done."""
        return [max(event.minute for event in self.served[: step + 1]) - self.began.minute for step in range(len(self.served))]


def best_attempt(events: Sequence[Event], steps: Sequence[str], within: int, order: str, matches: Matches) -> Attempt | None:
    """The attempt that counts: the furthest; of those the first to get there; of those the last to begin. None without the first step."""
    line = sorted(events, key=lambda event: (event.minute, event.record))
    attempts = [attempt for start in range(len(line)) if (attempt := _attempt(line, start, steps, within, order, matches)) is not None]
    place = {event: number for number, event in enumerate(line)}
    return max(
        attempts,
        key=lambda attempt: (len(attempt.served), -max(place[event] for event in attempt.served), place[attempt.began]),
        default=None,
    )


def _attempt(line: Sequence[Event], start: int, steps: Sequence[str], within: int, order: str, matches: Matches) -> Attempt | None:
    began = line[start]
    if not began.is_on_days:
        return None
    ahead = [event for event in line[start:] if event.minute - began.minute <= within]
    served = _strict(ahead, steps, matches) if order == "strict" else _any(ahead, steps, matches)
    # The event that an attempt begins with serves one of its steps; shorter attempts are looked at as well.
    while served and began not in served:
        served = served[:-1]
    return Attempt(began, tuple(served)) if served else None


def _strict(ahead: Sequence[Event], steps: Sequence[str], matches: Matches) -> list[Event]:
    served: list[Event] = []
    for event in ahead:
        if len(served) < len(steps) and matches(event, steps[len(served)]):
            served.append(event)
        elif not served:
            break
    return served


def _any(ahead: Sequence[Event], steps: Sequence[str], matches: Matches) -> list[Event]:
    unused = list(ahead)
    served: list[Event] = []
    for step in steps:
        found = next((event for event in unused if next((text for text in steps if matches(event, text)), None) == step), None)
        if found is None:
            break
        unused.remove(found)
        served.append(found)
    return served
