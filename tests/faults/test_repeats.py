"""What a producer had Kafka write once more is completed in the ledger from Kafka itself, and nothing else is."""

import random
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.faults.rig.load import Load
from tests.faults.rig.repeats import note_repeats
from tests.faults.rig.sending import send_more
from tests.stream import events, send


def test_ledger_gets_what_kafka_has_once_more_of_what_was_sent(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    chance = random.Random(1)
    with Load(settings, tmp_path, chance, per_sec=0) as load:
        key, value, event_id = load.build_record(1, chance)
        load.send(key, value, event_id, partition=2)
        send_more(load, chance, 20)
    send(settings, [(key, value)], partition=2)
    assert note_repeats(settings, load) == 1
    last = list(load.ledger.entries())[-1]
    assert (last["event_id"], last["partition"]) == (event_id, 2)
    assert note_repeats(settings, load) == 0


def test_what_nobody_sent_is_no_repeat(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    chance = random.Random(1)
    with Load(settings, tmp_path, chance, per_sec=0) as load:
        send_more(load, chance, 20, partition=0)
    send(settings, events(1), partition=0)
    with pytest.raises(AssertionError, match="nobody sent what Kafka has in partition 0 at offset 20"):
        note_repeats(settings, load)
