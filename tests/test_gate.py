"""The gate's keys: read anew for whom nobody knows, once a second at most, whether the database answers or not."""

import asyncio
import datetime as dt
import time

import pytest

from pipeline.auth.gate import FRESH_SECS, Gate
from pipeline.auth.guests import GuestDesk
from pipeline.definitions.key_ring import KeyRing

pytestmark = pytest.mark.attack("S1")


@pytest.mark.parametrize("is_away", [False, True], ids=["answers", "is away"])
def test_however_many_unknown_callers_ask_at_once_the_keys_are_read_once(is_away: bool) -> None:
    reads: list[float] = []

    def load() -> KeyRing:
        reads.append(time.monotonic())
        if is_away and len(reads) > 1:
            raise OSError("nobody is there")
        return KeyRing({}, {}, frozenset(), {})

    async def ask() -> None:
        gate = Gate(load, GuestDesk([b"m" * 32]), 900, lambda: dt.datetime.now(dt.UTC), is_open=False)
        asked_at = time.monotonic()
        await asyncio.gather(*(gate.know_since(asked_at) for _ in range(50)))
        assert gate.age_secs >= (FRESH_SECS if is_away else 0)

    asyncio.run(ask())
    assert len(reads) == 2
    assert reads[1] - reads[0] >= FRESH_SECS
