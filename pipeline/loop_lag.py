"""How late the event loop is: a timer that is due every 50 ms, and how much later it ran. Work that belongs into a thread shows here."""

import asyncio
import time

from pipeline.metrics import WorkerMetrics

INTERVAL_SECS = 0.05


async def watch_loop_lag(metrics: WorkerMetrics) -> None:
    """Observe it until cancelled."""
    while True:
        due = time.monotonic() + INTERVAL_SECS
        await asyncio.sleep(INTERVAL_SECS)
        metrics.loop_lag.observe(max(0.0, time.monotonic() - due))
