"""Row 23: topics that are made anew, or cut by retention or at their end, under a worker. What is lost by it is said and counted, never passed over."""

import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.stack.supervision import Supervisor
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.conftest import RunHeadwater, bare_stack
from tests.faults.rig.check_files import check_files
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.findings import place_of
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.sending import send_more
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.stream import audit, events, landed_count, lines, metrics, raw_events, rows, send
from tests.topic_changes import delete_records, make_anew, topic_id, topic_status
from tests.worker_process import running, wait_until

# The full runs take minutes.
pytestmark = pytest.mark.timeout(1800)


# How long Kafka holds a request for records that has nothing to answer.
FETCH_WAIT_SECS = 0.25


def stop_or_go(worker: FaultWorker, what: signal.Signals) -> None:
    """SIGSTOP or SIGCONT; once stopped, it has no request at Kafka that the next records would answer."""
    assert worker.process is not None
    worker.process.send_signal(what)
    if what is signal.SIGSTOP:
        time.sleep(2 * FETCH_WAIT_SECS)


def careful_worker(settings: Settings, folder: Path) -> FaultWorker:
    """One that stops after a gap."""
    (folder / "careful").mkdir()
    return FaultWorker(settings, folder / "careful", HEADWATER_GAP_POLICY="stop")


def wait_for_its_stop(worker: FaultWorker) -> None:
    """Until it has stopped on purpose, which nobody starts again by himself."""
    wait_until(lambda: not worker.is_running, "the worker stops")
    assert worker.process is not None
    assert worker.process.returncode == 3


def test_fault_23_a_topic_made_anew_lands_from_its_first_record_and_what_the_old_one_took_with_it_is_said(
    settings: Settings, topics: list[str], run_headwater: RunHeadwater, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker, chance = FaultWorker(settings, tmp_path), schedule.chance
    landed, unlanded, ended = 0, list[int](), list[tuple[str, Load]]()
    with running(worker):
        for number in range(schedule.choose(2, 12)):
            # A topic at a time has a producer: offsets begin anew.
            with Load(settings, tmp_path, chance, per_sec=0) as load:
                send_more(load, chance, chance.randrange(50, 200))
                landed += load.count
                wait_for_rows(settings, landed)
                assert metrics(worker)["headwater_topics_made_anew_total"] == number
                stop_or_go(worker, signal.SIGSTOP)
                before = load.count
                send_more(load, chance, chance.randrange(1, 50))
                unlanded.append(load.count - before)
            ended.append((topic_id(settings), load))
            make_anew(settings)
            stop_or_go(worker, signal.SIGCONT)
        with Load(settings, tmp_path, chance, per_sec=0) as load:
            send_more(load, chance, 100)
        landed += 100
        wait_for_rows(settings, landed)
        assert metrics(worker)["headwater_topics_made_anew_total"] == len(ended)
    # Each is said once, in a line that an alarm can watch.
    assert len(lines(worker.log, "ERROR", f"Topic '{raw_events(settings)}' was made anew")) == len(ended)
    for (ended_id, one), lost in zip(ended, unlanded, strict=True):
        found = check_files(place_of(settings, ended_id), one.ledger.path)
        assert (found.lost, found.duplicate, found.altered, found.extra) == (lost, 0, 0, 0)
    assert run_headwater("audit").stdout.count("Ended: another topic") == 4 * len(ended)
    said = {one["topic_id"]: sum(each["next_offset"] for each in one["partitions"]) for one in topic_status(settings)["ended_topics"]}
    assert said == {ended_id: one.count - lost for (ended_id, one), lost in zip(ended, unlanded, strict=True)}
    # Once more, while no worker runs; and the next one shall stop at it.
    last_id = topic_id(settings)
    make_anew(settings)
    careful = careful_worker(settings, tmp_path)
    with running(careful):
        wait_for_its_stop(careful)
    assert lines(careful.log, "CRITICAL", "was made anew", "HEADWATER_GAP_POLICY")
    assert Counter(one["has_ended"] for one in audit(settings)["partitions"]) == {True: 4 * len(ended) + 4, False: 12}
    proof.note(injections=len(ended) + 1, records_lost_with_the_old_topics_and_said=sum(unlanded))
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger, last_id).require())


@pytest.mark.full
def test_fault_23_a_topic_made_anew_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker, chance = FaultWorker(settings, tmp_path, guards_off="topic_id"), schedule.chance
    with running(worker):
        send(settings, events(20), partition=0)
        wait_for_rows(settings, 20)
        stop_or_go(worker, signal.SIGSTOP)
        make_anew(settings)
        with Load(settings, tmp_path, chance, per_sec=0) as load:
            send_more(load, chance, 60, partition=0)
        stop_or_go(worker, signal.SIGCONT)
        # It reads on at offset 20 of the new topic.
        wait_for_rows(settings, 60)
        assert worker.is_running
        said = [metrics(worker)["headwater_topics_made_anew_total"] > 0, bool(lines(worker.log, "was made anew"))]
        assert worker.stop() == 0
    landed = {payload_hash for (payload_hash,) in rows(settings, columns=["_payload_hash"])}
    unread = [entry["offset"] for entry in load.ledger.entries() if entry["payload_hash"] not in landed]
    assert len(landed) == 60
    is_silent = unread == [*range(20)] and not any(said)
    proof.show(f"offsets {unread[0]} to {unread[-1]} of the new topic never read, and not a word of it" if is_silent else "")


def test_fault_23_records_that_retention_took_before_they_were_read_are_a_gap_that_is_counted_logged_and_named(
    settings: Settings, topics: list[str], run_headwater: RunHeadwater, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker, chance = FaultWorker(settings, tmp_path), schedule.chance
    gaps: list[list[int]] = []
    with running(worker), Load(settings, tmp_path, chance, per_sec=0) as load:
        for _ in range(schedule.choose(3, 20)):
            send_more(load, chance, chance.randrange(1, 100), partition=0)
            wait_for_rows(settings, load.count - count_of(gaps))
            # While it runs, but does not read.
            stop_or_go(worker, signal.SIGSTOP)
            start = load.count
            send_more(load, chance, chance.randrange(1, 100), partition=0)
            gaps.append([start, load.count])
            send_more(load, chance, chance.randrange(1, 100), partition=0)
            delete_records(settings, before=gaps[-1][1])
            stop_or_go(worker, signal.SIGCONT)
            wait_for_rows(settings, load.count - count_of(gaps))
            assert metrics(worker)["headwater_gap_records_total"] == count_of(gaps)
            assert lines(worker.log, "ERROR", f"Gap: {count_of(gaps[-1:])} offsets [{gaps[-1][0]}, {gaps[-1][1]})", "are gone from Kafka")
        assert worker.stop() == 0
        # While none runs; and the next one shall stop at it.
        send_more(load, chance, 9, partition=0)
        gaps.append([load.count - 9, load.count - 2])
        delete_records(settings, before=load.count - 2)
        careful = careful_worker(settings, tmp_path)
        with running(careful):
            wait_for_its_stop(careful)
            assert lines(careful.log, "CRITICAL", "gone before they were read", "HEADWATER_GAP_POLICY")
            careful.start()
            wait_for_rows(settings, load.count - count_of(gaps))
    said = audit(settings)
    assert (said["is_clean"], said["gap"], said["consumed"]) == (True, count_of(gaps), load.count - count_of(gaps))
    assert [one["gaps"] for one in said["partitions"] if one["gaps"]] == [gaps]
    assert f"Gap: offsets [{gaps[-1][0]}, {gaps[-1][1]}) of partition 0" in run_headwater("audit").stdout
    assert [[one["start"], one["end"]] for one in topic_status(settings)["gaps"]] == gaps
    found = judge(settings, load.ledger).found
    # What the checkers miss is what was said to be gone, to the record.
    assert (found.lost, found.duplicate, found.altered, found.extra) == (count_of(gaps), 0, 0, 0)
    proof.note(
        injections=len(gaps), gap_records=count_of(gaps), records=found.records, lost=found.lost - count_of(gaps), duplicate=found.duplicate
    )
    proof.note_workers(worker)


def count_of(gaps: list[list[int]]) -> int:
    """Records in all gaps."""
    return sum(end - start for start, end in gaps)


@pytest.mark.full
def test_fault_23_records_that_retention_took_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    """The records are gone with the guard too, which says so: by a gap in the table, the metric, the log, and here by a stop."""
    worker, chance = FaultWorker(settings, tmp_path, guards_off="gap", HEADWATER_GAP_POLICY="stop"), schedule.chance
    with Load(settings, tmp_path, chance, per_sec=0) as load:
        send_more(load, chance, 10, partition=0)
        with running(worker):
            wait_for_rows(settings, 10)
            stop_or_go(worker, signal.SIGSTOP)
            send_more(load, chance, 20, partition=0)
            delete_records(settings, before=20)
            stop_or_go(worker, signal.SIGCONT)
            wait_until(lambda: landed_count(settings) == 20 or not worker.is_running, "it reads on, or stops")
            is_stopped = not worker.is_running
            is_counted = not is_stopped and metrics(worker)["headwater_gap_records_total"] > 0
    is_logged = bool(lines(worker.log, "gone"))
    is_kept = bool(topic_status(settings)["gaps"])
    found = judge(settings, load.ledger).found
    is_silent = not (is_stopped or is_counted or is_logged or is_kept)
    proof.show(f"{found.lost} records gone, and no gap, no line of the log, no count and no stop" if found.lost and is_silent else "")


@pytest.mark.full
def test_fault_23_a_retention_of_a_second_overtakes_a_worker_that_does_not_read(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker, chance = FaultWorker(settings, tmp_path), schedule.chance
    with running(worker), Load(settings, tmp_path, chance, per_sec=0) as load:
        send_more(load, chance, 100, partition=0)
        wait_for_rows(settings, 100)
        stop_or_go(worker, signal.SIGSTOP)
        send_more(load, chance, 50, partition=0)
        with open_admin(settings) as admin:
            topic = ConfigResource(ConfigResourceType.TOPIC, raw_events(settings), {"retention.ms": "1000"})
            admin.alter_configs([topic])
        # Kafka looks once a minute.
        wait_until(lambda: topic_status(settings)["partitions"][0]["first_offset"] == 150, "retention takes all", secs_max=180)
        stop_or_go(worker, signal.SIGCONT)
        wait_until(lambda: metrics(worker)["headwater_gap_records_total"] == 50, "the gap is counted")
        assert lines(worker.log, "ERROR", "Gap: 50 offsets [100, 150)")
    assert audit(settings)["gap"] == 50
    found = judge(settings, load.ledger).found
    assert (found.lost, found.duplicate) == (50, 0)
    proof.note(injections=1, gap_records=50)


def test_fault_23_a_log_that_ends_before_what_has_landed_stops_the_worker(
    settings: Settings, topics: list[str], tmp_path: Path, proof: Proof
) -> None:
    """Not promised: a log that was cut at its end, and grew past the landed offset before a worker looked, is passed over in silence. To tell
    the two logs apart, each commit would have to keep the leader epoch of its last record."""
    send(settings, events(3), partition=0)
    events_table = LakeTable(build_store(settings), load_table("events"))
    events_table.ensure()
    found_id = topic_id(settings)
    events_table.commit([], {f"events/{found_id}/0": 40, f"events/{found_id}/0/owner": 1})
    worker = FaultWorker(settings, tmp_path)
    with running(worker):
        wait_for_its_stop(worker)
    assert lines(
        worker.log, "CRITICAL", f"Partition 0 of topic id {found_id} ends at offset 3, and the lake has landed up to 40", "make a new"
    )
    assert landed_count(settings) == 0
    proof.note(injections=1)


@pytest.mark.full
def test_fault_23_a_log_put_back_from_a_copy_stops_the_worker(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    chance = schedule.chance
    with bare_stack(tmp_path_factory.mktemp("cut") / "home") as settings:
        supervisor, worker = Supervisor(settings), FaultWorker(settings, tmp_path)
        folder, copy = settings.home / "kafka" / f"{raw_events(settings)}-0", tmp_path / "copy"
        with running(worker), Load(settings, tmp_path, chance, per_sec=0) as load:
            send_more(load, chance, 20, partition=0)
            wait_for_rows(settings, 20)
            supervisor.call("stopProcess", "kafka")
            shutil.copytree(folder, copy)
            supervisor.call("startProcess", "kafka")
            send_more(load, chance, 10, partition=0)
            wait_for_rows(settings, 30)
            supervisor.call("stopProcess", "kafka")
            shutil.rmtree(folder)
            shutil.copytree(copy, folder)
            supervisor.call("startProcess", "kafka")
            wait_for_its_stop(worker)
            assert lines(worker.log, "CRITICAL", "ends at offset 20, and the lake has landed up to 30")
        # What had landed is there, once.
        proof.note(injections=1)
        proof.note_findings(judge(settings, load.ledger).require())
