"""What a fault proxy does to what passes: rules that a test switches on and off while it runs, and how often each fault struck."""

import asyncio
import random
import re
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal

Side = Literal["up", "down", "both"]
Fault = Literal[
    "delay",  # it is passed on `secs` later; without HTTP each chunk
    "cut_before",  # closed before anything is passed on
    "cut_after",  # the request is passed on and answered, and the answer is lost: closed
    "truncate",  # the first half of the body, under a Content-Length that says so
    "tear",  # the first half of the body, then closed
    "flip",  # one bit of the body, or of the chunk, is another one
    "answer_after",  # the request is passed on and answered, and the client gets `status` instead
    "answer",  # `status`, as S3 says an error, and nothing is passed on
    "black_hole",  # taken, and gone: nothing is passed on, nothing is answered, for as long as the connection lasts
    "half_open",  # the request is passed on, what is answered is gone
    "hold",  # nothing flows while the rule is on; then all of it arrives, late, as packets do that are sent again
    "refuse",  # nobody listens, and connections are broken
]


@dataclass(eq=False)
class Rule:
    """One fault, for what it matches: `method` and `path` (a regular expression, searched in the path with its query) of HTTP; anything by default.

    `share` of what matches is struck, `times` of it at most. `side` is of `black_hole` and `hold`: up is towards the server.
    """

    fault: Fault
    method: str = ""
    path: str = ""
    share: float = 1.0
    times: int | None = None
    secs: float = 0.0
    status: int = 503
    side: Side = "both"

    def matches(self, method: str, path: str) -> bool:
        return self.method in ("", method) and re.search(self.path, path) is not None

    def stops(self, side: Side) -> bool:
        """Whether nothing flows this way under it."""
        if self.fault == "half_open":
            return side == "down"
        return self.fault in ("hold", "black_hole") and self.side in (side, "both")


class Rules:
    """The rules that are on, and what struck. Rules change in the test's thread, draws are made in the proxy's."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = random.Random(chance.getrandbits(64))
        self.struck: Counter[str] = Counter()
        # (fault, status) of what the server answered to requests that were struck and passed on.
        self.answers: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()
        self._on: tuple[Rule, ...] = ()

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._on += (rule,)

    def remove(self, rule: Rule) -> None:
        """Switch a rule off; one that is off stays so."""
        with self._lock:
            self._on = tuple(other for other in self._on if other is not rule)

    @property
    def is_refusing(self) -> bool:
        return any(rule.fault == "refuse" for rule in self._on)

    async def wait_until_off(self, rule: Rule) -> None:
        while rule in self._on:
            await asyncio.sleep(0.02)

    def draw(self, method: str = "", path: str = "") -> Rule | None:
        """The rule that strikes this request, which is counted; the first that does."""
        return self._draw([rule for rule in self._on if rule.matches(method, path)])

    def draw_chunk(self, side: Side) -> Rule | None:
        """The rule that strikes this chunk, which is counted; the first that does."""
        stopping = ("hold", "black_hole", "half_open")
        return self._draw([rule for rule in self._on if (rule.stops(side) if rule.fault in stopping else True)])

    def find_stopping(self, method: str, path: str) -> Rule | None:
        """A rule that stops the answer to a request which was passed on before the rule was there."""
        found = (rule for rule in self._on if rule.fault in ("hold", "black_hole") and rule.stops("down") and rule.matches(method, path))
        return next(found, None)

    def _draw(self, matching: list[Rule]) -> Rule | None:
        with self._lock:
            for rule in matching:
                if rule.fault == "refuse" or rule.times == 0 or self.chance.random() >= rule.share:
                    continue
                if rule.times is not None:
                    rule.times -= 1
                self.struck[rule.fault] += 1
                return rule
        return None
