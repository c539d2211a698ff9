"""Topics that change under a worker: made anew, cut by retention, grown. Nothing of it is passed over in silence."""

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import NewPartitions

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.stream_status import read_stream_status
from pipeline.topics import ensure_topics
from tests.conftest import RunHeadwater
from tests.stream import audit, event, events, landed_count, landed_ids, lines, metrics, raw_events, rows, send
from tests.worker_process import WorkerProcess, running, wait_until


def quick_worker(settings: Settings, folder: Path, number: int = 0, **rig: str) -> WorkerProcess:
    """A worker that flushes often."""
    return WorkerProcess(settings, folder, number, HEADWATER_FLUSH_SECS_MAX="0.3", **rig)


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
    (found,) = read_stream_status(settings)["topics"]
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
        assert worker.stop() == 0
    # Once more, while no worker runs; and the next one shall stop at it.
    make_anew(settings)
    send(settings, events(5, "third"))
    careful = quick_worker(settings, tmp_path, 1, HEADWATER_GAP_POLICY="stop")
    with running(careful):
        wait_until(lambda: not careful.is_running, "the worker stops")
        assert careful.process is not None
        assert careful.process.returncode == 3
        assert lines(careful.log, "CRITICAL", "was made anew", "HEADWATER_GAP_POLICY")
        careful.start()
        wait_until(lambda: landed_count(settings) == 55, "the records of the third topic")
    assert set(landed_ids(settings).values()) == {1}
    found = audit(settings)
    assert found["is_clean"], found
    assert Counter(one["has_ended"] for one in found["partitions"]) == {True: 8, False: 4}
    assert found["landed"] == 55
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
        assert worker.stop() == 0
    send(settings, events(9, "gone"), partition=0)
    delete_records(settings, before=37)
    careful = quick_worker(settings, tmp_path, 1, HEADWATER_GAP_POLICY="stop")
    with running(careful):
        wait_until(lambda: not careful.is_running, "the worker stops")
        assert careful.process is not None
        assert careful.process.returncode == 3
        assert lines(careful.log, "CRITICAL", "gone before they were read", "HEADWATER_GAP_POLICY")
        careful.start()
        wait_until(lambda: landed_count(settings) == 22, "what retention left the second time")
    found = audit(settings)
    assert (found["is_clean"], found["gap"], found["consumed"]) == (True, 17, 22)
    assert found["partitions"][0]["gaps"] == [[10, 20], [30, 37]]
    assert "Gap: offsets [30, 37) of partition 0 were gone" in run_headwater("audit").stdout
    assert [(one["start"], one["end"]) for one in topic_status(settings)["gaps"]] == [(10, 20), (30, 37)]


@pytest.mark.parametrize("is_dedup_on", [True, pytest.param(False, id="control")])
def test_added_partitions_are_read_from_their_start_and_resends_from_before_are_set_aside(
    settings: Settings, tmp_path: Path, is_dedup_on: bool
) -> None:
    ensure_topics(settings.model_copy(update={"topic_partitions": 2}))
    before = [event(f"before-{number}", f"phone-{number}") for number in range(16)]
    after = [event(f"after-{number}", f"phone-{number}") for number in range(16)]
    worker = quick_worker(settings, tmp_path, HEADWATER_DEDUP_ENABLED=str(is_dedup_on).lower())
    send(settings, before)
    with running(worker):
        wait_until(lambda: landed_count(settings) == 16, "the records before the growth")
        with open_admin(settings) as admin:
            admin.create_partitions({raw_events(settings): NewPartitions(4)})
        send(settings, [*after, *before])
        wait_until(lambda: landed_count(settings) == 48, "the records after the growth")
    assert {partition for partition, _ in rows(settings)} == {0, 1, 2, 3}
    found = audit(settings)
    assert found["is_clean"], found
    assert [one["first_offset"] for one in found["partitions"]] == [0, 0, 0, 0]
    assert (found["landed"], found["duplicate"]) == ((32, 16) if is_dedup_on else (48, 0))
    assert set(landed_ids(settings).values()) == ({1} if is_dedup_on else {1, 2})
