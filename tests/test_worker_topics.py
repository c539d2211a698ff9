"""A topic that gets more partitions under a worker. Topics made anew or cut: tests/faults/test_fault_23_topics.py."""

import functools
from collections import Counter
from pathlib import Path

from kafka.admin import NewPartitions

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.topics import ensure_topics
from tests.stream import audit, beside, event, has_landed, landed_ids, raw_events, rows, send
from tests.worker_process import WorkerProcess, running, wait_until


def quick_worker(settings: Settings, folder: Path, number: int = 0, **rig: str) -> WorkerProcess:
    """A worker that flushes often. One of the same number takes the place of the one before it at once."""
    return WorkerProcess(settings, folder, number, HEADWATER_FLUSH_SECS_MAX="0.3", **rig)


def test_added_partitions_are_read_from_their_start_and_resends_from_before_are_set_aside(settings: Settings, tmp_path: Path) -> None:
    control = beside(settings)
    ensure_topics(settings.model_copy(update={"topic_partitions": 2}))
    before = [event(f"before-{number}", f"phone-{number}") for number in range(16)]
    after = [event(f"after-{number}", f"phone-{number}") for number in range(16)]
    send(settings, before)
    with running(quick_worker(settings, tmp_path), quick_worker(control, tmp_path, 1, HEADWATER_DEDUP_ENABLED="false")):
        for one in (settings, control):
            wait_until(functools.partial(has_landed, one, 16), "the records before the growth")
        with open_admin(settings) as admin:
            admin.create_partitions({raw_events(settings): NewPartitions(4)})
        send(settings, [*after, *before])
        for one in (settings, control):
            wait_until(functools.partial(has_landed, one, 48), "the records after the growth")
    assert {partition for partition, _ in rows(settings)} == {0, 1, 2, 3}
    found = audit(settings)
    assert found["is_clean"], found
    assert [one["first_offset"] for one in found["partitions"] if one["topic"] == raw_events(settings)] == [0, 0, 0, 0]
    assert (found["landed"], found["duplicate"]) == (32, 16)
    assert set(landed_ids(settings).values()) == {1}
    # With deduplication off all of them land again.
    assert Counter(landed_ids(control).values()) == {1: 16, 2: 16}
