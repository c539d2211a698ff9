"""Whether rows go on landing, in both tables together."""

import time

from pipeline.config import Settings
from tests.stream import landed_count
from tests.worker_process import WAIT_SECS_MAX, wait_until


def wait_for_more_rows(settings: Settings, count: int = 0, before: int | None = None, secs_max: float = WAIT_SECS_MAX) -> float:
    """Until more than so many rows have landed that had not now, or beyond `before`; returns the seconds that it took. The store may be away."""
    began_at, wanted = time.monotonic(), count + (landed_count(settings) if before is None else before)
    wait_until(lambda: _has_landed(settings, wanted), "more rows land", secs_max)
    return time.monotonic() - began_at


def _has_landed(settings: Settings, more_than: int) -> bool:
    try:
        return landed_count(settings) > more_than
    except OSError:
        return False
