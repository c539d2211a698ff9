"""How often: events of a key by its own bound, and requests for guests' keys by address."""

import math

from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter


class Rates:
    """Counts in memory; a process has counts of its own."""

    def __init__(self, guests_per_min: int) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._guests = RateLimitItemPerMinute(guests_per_min)

    def take_events(self, key_id: str, events_per_sec: float, count: int) -> bool:
        """Whether a key may send so many events now. A batch that is larger than a second's share takes all of it."""
        share = max(1, math.floor(events_per_sec))
        return self._limiter.hit(RateLimitItemPerSecond(share), "events", key_id, cost=min(count, share))

    def take_guest(self, address: str) -> bool:
        """Whether an address may ask for a guest's keys now."""
        return self._limiter.hit(self._guests, "guest", address)
