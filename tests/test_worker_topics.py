"""Topics that change under a worker: made anew, cut by retention, grown. Nothing of it is passed over in silence."""

import functools
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from kafka import TopicPartition
from kafka.admin import NewPartitions

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.stores import build_store
from pipeline.stream_status import read_stream_status
from pipeline.topic_ids import TopicIds
from pipeline.topics import ensure_topics
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.conftest import RunHeadwater
from tests.stream import audit, beside, event, events, has_landed, landed_count, landed_ids, lines, metrics, raw_events, rows, send
from tests.worker_process import WorkerProcess, running, wait_until


def quick_worker(settings: Settings, folder: Path, number: int = 0, **rig: str) -> WorkerProcess:
    """A worker that flushes often. One of the same number takes the place of the one before it at once."""
    return WorkerProcess(settings, folder, number, HEADWATER_FLUSH_SECS_MAX="0.3", **rig)


def careful_worker(settings: Settings, folder: Path) -> WorkerProcess:
    """One that stops after a gap."""
    (folder / "careful").mkdir()
    return quick_worker(settings, folder / "careful", HEADWATER_GAP_POLICY="stop")


def make_anew(settings: Settings) -> None:
    """Delete the topic, wait until it is gone, and create it again."""
    with open_admin(settings) as admin:
        admin.delete_topics([raw_events(settings)])
        wait_until(lambda: raw_events(settings) not in admin.list_topics(), "the topic is gone")
    ensure_topics(settings)


def delete_records(settings: Settings, before: int) -> None:
    """Remove the records of partition 0 before an offset, as retention does."""
    with open_admin(settings) as admin:
        admin.delete_records({TopicPartition(raw_events(settings), 0): before})


def topic_status(settings: Settings) -> dict[str, Any]:
    """What `headwater status --json` says of raw-events."""
    found, *_ = read_stream_status(settings)["topics"]
    return dict(found)


def test_a_topic_made_anew_lands_from_its_first_record_and_the_end_of_the_old_one_is_said(
    settings: Settings, topics: list[str], run_headwater: RunHeadwater, tmp_path: Path
) -> None:
    worker = quick_worker(settings, tmp_path)
    send(settings, events(20, "first", endpoints=9))
    with running(worker):
        wait_until(lambda: landed_count(settings) == 20, "the records of the first topic")
        make_anew(settings)
        send(settings, events(30, "second", endpoints=9))
        wait_until(lambda: landed_count(settings) == 50, "the records of the second topic")
        assert metrics(worker)["headwater_topics_made_anew_total"] == 1
        assert len(lines(worker.log, "ERROR", f"Topic '{raw_events(settings)}' was made anew")) == 1
    # Once more, while no worker runs; and the next one shall stop at it.
    make_anew(settings)
    send(settings, events(5, "third"))
    careful = careful_worker(settings, tmp_path)
    with running(careful):
        wait_until(lambda: not careful.is_running, "the worker stops")
        assert careful.process is not None
        assert careful.process.returncode == 3
        assert lines(careful.log, "CRITICAL", "was made anew", "HEADWATER_GAP_POLICY")
    assert set(landed_ids(settings).values()) == {1}
    found = audit(settings)
    assert found["is_clean"], found
    assert Counter(one["has_ended"] for one in found["partitions"]) == {True: 8, False: 12}
    assert found["landed"] >= 50
    assert run_headwater("audit").stdout.count("Ended: another topic") == 8
    ended = [sum(one["next_offset"] for one in topic["partitions"]) for topic in topic_status(settings)["ended_topics"]]
    assert sorted(ended) == [20, 30]


def test_records_that_retention_took_are_a_gap_that_is_counted_logged_and_named(
    settings: Settings, topics: list[str], run_headwater: RunHeadwater, tmp_path: Path
) -> None:
    worker = quick_worker(settings, tmp_path)
    send(settings, events(10), partition=0)
    with running(worker):
        wait_until(lambda: landed_count(settings) == 10, "the first records")
        # While it runs, but does not read.
        assert worker.process is not None
        worker.process.send_signal(signal.SIGSTOP)
        send(settings, events(10, "taken"), partition=0)
        send(settings, events(10, "kept"), partition=0)
        delete_records(settings, before=20)
        worker.process.send_signal(signal.SIGCONT)
        wait_until(lambda: landed_count(settings) == 20, "what retention left")
        assert metrics(worker)["headwater_gap_records_total"] == 10
        assert lines(worker.log, "ERROR", "Gap: 10 offsets [10, 20)", "are gone from Kafka")
    send(settings, events(9, "gone"), partition=0)
    delete_records(settings, before=37)
    careful = careful_worker(settings, tmp_path)
    with running(careful):
        wait_until(lambda: not careful.is_running, "the worker stops")
        assert careful.process is not None
        assert careful.process.returncode == 3
        assert lines(careful.log, "CRITICAL", "gone before they were read", "HEADWATER_GAP_POLICY")
        careful.start()
        wait_until(lambda: landed_count(settings) == 22, "what retention left the second time")
    found = audit(settings)
    assert (found["is_clean"], found["gap"], found["consumed"]) == (True, 17, 22)
    assert [one["gaps"] for one in found["partitions"] if one["gaps"]] == [[[10, 20], [30, 37]]]
    assert f"Gap: offsets [30, 37) of partition 0 of {raw_events(settings)} were gone" in run_headwater("audit").stdout
    assert [(one["start"], one["end"]) for one in topic_status(settings)["gaps"]] == [(10, 20), (30, 37)]


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


def test_a_log_that_ends_before_what_has_landed_stops_the_worker(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    send(settings, events(3), partition=0)
    events_table = LakeTable(build_store(settings), load_table("events"))
    events_table.ensure()
    topic_ids = TopicIds(settings)
    topic_id = topic_ids.look_up([raw_events(settings)])[raw_events(settings)].topic_id
    topic_ids.close()
    events_table.commit([], {f"events/{topic_id}/0": 40, f"events/{topic_id}/0/owner": 1})
    worker = quick_worker(settings, tmp_path)
    with running(worker):
        wait_until(lambda: not worker.is_running, "the worker stops")
        assert worker.process is not None
        assert worker.process.returncode == 3
    assert lines(
        worker.log, "CRITICAL", f"Partition 0 of topic id {topic_id} ends at offset 3, and the lake has landed up to 40", "make a new"
    )
    assert landed_count(settings) == 0
