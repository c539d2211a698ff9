"""How often: what a key's own bound lets through, over any time."""

import pytest

from pipeline.auth.rates import Rates


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("rate", [0.1, 1, 10, 500])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_key_sends_no_more_than_its_rate_over_time_whatever_its_batches_are(rate: float, size: int) -> None:
    clock = Clock()
    rates, taken, secs = Rates(1, clock), 0, 2000
    for _ in range(secs * 4):
        if rates.take_events("key", rate, size) == 0:
            taken += size
        clock.now += 0.25
    # A batch, and a second's share, may be ahead.
    assert taken <= rate * secs + size + rate
    assert taken >= min(rate, 4 * size) * secs * 0.4


def test_key_that_must_wait_is_told_for_how_long_and_then_may() -> None:
    clock = Clock()
    rates = Rates(1, clock)
    assert rates.take_events("key", 10, 100) == 0
    wait_secs = rates.take_events("key", 10, 1)
    assert 8.9 <= wait_secs <= 10
    clock.now += wait_secs
    assert rates.take_events("key", 10, 1) == 0
    assert rates.take_events("another", 10, 1) == 0


def test_what_is_owed_for_events_let_in_is_waited_for_by_the_next() -> None:
    clock = Clock()
    rates = Rates(1, clock)
    assert rates.take_events("key", 10, 1) == 0
    rates.owe_events("key", 10, 99)
    assert 8.9 <= rates.take_events("key", 10, 1) <= 10
    assert rates.take_events("another", 10, 1) == 0
