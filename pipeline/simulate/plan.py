"""What a run is asked for, and the seeded chance that makes the same run give the same bytes on any machine."""

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from schemas.errors import UsageError

T = TypeVar("T")

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True)
class Plan:
    """A run: `users` people of `app` over `days` from `start` (UTC midnight), a share `dirty` (0 to 1) of it spoiled.

    `is_live`: the shop has always been open, nobody joins any more, and campaigns never stop; `start` and `days` are not used.
    Pauses within a session are `haste` times as long as people's are.
    """

    users: int = 10_000
    days: int = 30
    start: date = date(2026, 1, 1)
    seed: int = 1
    app: str = "shop"
    dirty: float = 0.02
    is_live: bool = False
    haste: float = 1.0

    @property
    def start_ms(self) -> int:
        return int(datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC).timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.days * DAY


def build_plan(users: int, days: int, start: str, seed: int, app: str, dirty: float, is_live: bool, today: date) -> Plan:
    """A checked plan. `start` is an ISO date, or empty: the days end at the midnight with which `today` (UTC) begins.

    Raises UsageError naming the option, its value and what was expected.
    """
    if users < 1:
        raise UsageError(f"Option '--users' is {users}; expected a number of people from 1, for example 10000.")
    if not 1 <= days <= 36_500:
        raise UsageError(f"Option '--days' is {days}; expected a number of days from 1 to 36500, for example 30.")
    if not 0 <= dirty <= 0.5:
        raise UsageError(f"Option '--dirty' is {dirty:g}; expected a share from 0 (off) to 0.5, for example 0.02.")
    if not app or app != app.strip() or not app.isprintable() or "/" in app or '"' in app or "\\" in app:
        raise UsageError(f"Option '--app' is '{app}'; expected the id of an app: printable, without '/', quotes and backslashes.")
    try:
        first = date.fromisoformat(start) if start else today - timedelta(days=days)
        first + timedelta(days=days + 800)
    except (ValueError, OverflowError):
        raise UsageError(f"Option '--start' is '{start}'; expected a date, for example 2026-10-01.") from None
    if first.year < 1971:
        raise UsageError(f"Option '--start' is '{first}'; expected a date from 1971-01-01 on; fewer --days begin later.")
    return Plan(users, days, first, seed, app, dirty, is_live)


def seeded(*parts: int) -> random.Random:
    """Chance that depends on `parts` alone.

    Only random() and getrandbits() of it are used: they are the same in every Python and on every machine.
    """
    mixed = 0
    for part in parts:
        mixed = (mixed * 0x9E3779B97F4A7C15 + (part & 0xFFFFFFFFFFFFFFFF) + 1) & ((1 << 128) - 1)
    return random.Random(mixed)


def raised(x: float, power: int) -> float:
    """`x` to a whole power by multiplication, which every machine rounds alike; pow() of C libraries differs in the last bit."""
    result = x
    for _ in range(power - 1):
        result *= x
    return result


def make_uuids(rng: random.Random, count: int) -> list[str]:
    """`count` random UUIDs (version 4) as text."""
    text = f"{rng.getrandbits(128 * count):0{32 * count}x}"
    return [
        f"{text[i : i + 8]}-{text[i + 8 : i + 12]}-4{text[i + 13 : i + 16]}-a{text[i + 17 : i + 20]}-{text[i + 20 : i + 32]}"
        for i in range(0, 32 * count, 32)
    ]


def spread(*weights: tuple[T, int]) -> list[T]:
    """Weighted values as a list to pick from evenly: each value as often as its weight says."""
    return [value for value, weight in weights for _ in range(weight)]
