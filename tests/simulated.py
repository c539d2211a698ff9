"""Small simulated runs for tests, each made once."""

import functools
import itertools
from datetime import date

from pipeline.simulate.plan import Plan
from pipeline.simulate.records import Message
from pipeline.simulate.timeline import simulate_days

START = date(2026, 10, 1)


@functools.cache
def messages_of(plan: Plan) -> tuple[Message, ...]:
    """All messages of a run, in the order of sending."""
    return tuple(itertools.chain.from_iterable(messages for _, messages in simulate_days(plan)))


CLEAN = Plan(users=1500, days=9, start=START, seed=5, dirty=0.0)
DIRTY = Plan(users=1500, days=9, start=START, seed=5, dirty=0.1)
