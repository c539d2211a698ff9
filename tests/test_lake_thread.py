"""Leaving while the lake's thread is at work: what waits for it is given up, and nobody takes that for his own end."""

import asyncio
import threading

import pytest
from prometheus_client import CollectorRegistry

from pipeline.lake_thread import GivenUpError, LakeThread
from pipeline.metrics import WorkerMetrics


def test_what_is_under_way_ends_what_waits_is_given_up_and_so_is_what_comes_later() -> None:
    async def close_meanwhile() -> None:
        thread, goes_on = LakeThread(WorkerMetrics(CollectorRegistry())), threading.Event()
        under_way, waiting = asyncio.create_task(thread.run(goes_on.wait, 30)), asyncio.create_task(thread.run(lambda: "landed"))
        await asyncio.sleep(0)
        thread.close()
        goes_on.set()
        assert await under_way
        for call in (waiting, thread.run(lambda: "landed")):
            with pytest.raises(GivenUpError):
                await call

    asyncio.run(close_meanwhile())
