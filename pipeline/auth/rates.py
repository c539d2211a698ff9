"""How often: events of a key by its own bound, and requests for guests' keys by address."""

import ipaddress
import time
from collections.abc import Callable

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter


class Rates:
    """Counts in memory; a process has counts of its own. `clock` is monotonic, seconds."""

    def __init__(self, guests_per_min: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._guests = RateLimitItemPerMinute(guests_per_min)
        self._clock = clock
        # Moment up to which each key has used its rate; there are no more of these than keys.
        self._used_until: dict[str, float] = {}

    def take_events(self, key_id: str, events_per_sec: float, count: int) -> float:
        """Seconds until a key may send these events; 0 when it may now, and then they are counted.

        A batch of more than a second's share is taken when nothing is owed, and is owed then (a leaky bucket of one second).
        """
        now = self._clock()
        used_until = max(self._used_until.get(key_id, now - 1), now - 1)
        if used_until > now:
            return used_until - now
        self._used_until[key_id] = used_until + count / events_per_sec
        return 0.0

    def owe_events(self, key_id: str, events_per_sec: float, count: int) -> None:
        """Count events that belong to some that were let in already: the next ones wait for them."""
        now = self._clock()
        self._used_until[key_id] = max(self._used_until.get(key_id, now - 1), now - 1) + count / events_per_sec

    def take_guest(self, address: str) -> bool:
        """Whether an address may ask for a guest's keys now; of IPv6 a whole /64, which one customer has."""
        return self._limiter.hit(self._guests, "guest", _network(address))


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
