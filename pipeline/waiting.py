"""Wait until the lake has everything that Kafka held, with a progress bar."""

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.config import Settings
from pipeline.stream_status import read_stream_status
from schemas.errors import UnavailableError

STILL_SECS_MAX = 60.0


def wait_until_landed(settings: Settings, sleep: Callable[[float], None] = time.sleep) -> float:
    """Wait until no landing stream lags; returns the seconds that it took.

    Raises UnavailableError when nothing has landed for a minute.
    """
    started = moved_at = time.monotonic()
    first = last = _lag(settings)
    columns = (TextColumn("Landing"), BarColumn(), MofNCompleteColumn(), TextColumn("records"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=first)
        while last:
            sleep(0.5)
            lag = _lag(settings)
            first = max(first, lag)
            bar.update(task, total=first, completed=first - lag)
            moved_at = time.monotonic() if lag != last else moved_at
            last = lag
            if time.monotonic() - moved_at > STILL_SECS_MAX:
                raise UnavailableError(
                    f"{lag} records have not landed, and none has for {STILL_SECS_MAX:g} s; see that a worker runs ('headwater status') and "
                    "what it says ('headwater logs worker-0')."
                )
    return time.monotonic() - started


def _lag(settings: Settings) -> int:
    return sum(topic["lag"] for topic in read_stream_status(settings, is_fresh_wanted=False)["topics"])
