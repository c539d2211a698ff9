"""Sockets of connections that were refused: kafka-python leaves them to the garbage collector, which warns of each."""

import gc
from collections.abc import Iterator

import pytest

# Of a module whose brokers are killed: such warnings are no failures of its tests, and come while it runs, not in the next one's or at pytest's end.
REFUSED_SOCKETS = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"), pytest.mark.usefixtures("refused_sockets")]


@pytest.fixture
def refused_sockets() -> Iterator[None]:
    yield
    gc.collect()
