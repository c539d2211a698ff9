"""Records beside the steady ones of a load, and the wait for Kafka's acknowledgements."""

import random
from collections.abc import Callable

from tests.faults.rig.load import Load
from tests.stream import ANY_PARTITION
from tests.worker_process import WAIT_SECS_MAX, wait_until


def send_more(
    load: Load,
    chance: random.Random,
    count: int,
    partition: int = ANY_PARTITION,
    build: Callable[[int, random.Random], tuple[bytes, bytes, str]] | None = None,
) -> None:
    """Send so many records, those that the load builds unless told otherwise, and wait until Kafka has them."""
    wanted = load.count + count
    for number in range(count):
        load.send(*(build or load.build_record)(number, chance), partition)
    wait_until(lambda: load.count >= wanted, "Kafka has the records")


def wait_for_acks(load: Load, count: int, secs_max: float = WAIT_SECS_MAX) -> None:
    """Until Kafka has acknowledged so many records more."""
    wanted = load.count + count
    wait_until(lambda: load.count >= wanted, "records are acknowledged", secs_max)
