"""Row 10: a full disk, under the S3 server or under a worker's own folder."""

import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config import Settings, load_settings
from pipeline.kafka_admin import open_admin
from pipeline.topics import ensure_topics
from pipeline.topology import TOPICS, topic_name
from tests.conftest import free_port_offset, running_stack, settings_apart
from tests.faults.hosts.small_disk import SmallDisk, small_disk
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.faults.watch.more_rows import wait_for_more_rows
from tests.stream import landed_count, lines, metrics
from tests.worker_process import running, wait_until

# The full runs take minutes.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("store") / "disk", 64) as made:
        yield made


@pytest.fixture(scope="module")
def store(disk: SmallDisk, stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An S3 server whose objects lie on that disk, beside the Kafka of all tests."""
    home = tmp_path_factory.mktemp("store") / "home"
    (home / "stack").mkdir(parents=True)
    (home / "s3").symlink_to(disk.folder)
    own = {"kafka": stack.kafka_servers, "topic_prefix": f"t-{uuid.uuid4().hex[:12]}-"}
    settings = load_settings(
        home=home, port_offset=free_port_offset(), local_workers=0, local_maintenance=False, local_api=False, local_s3_heap_mb=128, **own
    )
    with running_stack(settings):
        yield settings


@pytest.fixture
def stored(store: Settings, stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings of one test with that server; its topics are removed after it."""
    settings = settings_apart(store, tmp_path / "home", kafka=stack.kafka_servers)
    ensure_topics(settings)
    yield settings
    with open_admin(settings) as admin:
        admin.delete_topics([topic_name(settings, topic) for topic in TOPICS])


def fill_and_free(disk: SmallDisk, worker: FaultWorker, secs: float) -> float:
    """Fill the disk until the worker has met it twice, and a little more; free it. Returns the seconds from then until rows land again."""
    before = metrics(worker)["headwater_flush_failures_total"]
    disk.fill()
    wait_until(lambda: metrics(worker)["headwater_flush_failures_total"] >= before + 2, "the worker meets the full disk")
    time.sleep(secs)
    landed = landed_count(worker.settings)
    disk.free()
    freed_at = time.monotonic()
    wait_until(lambda: landed_count(worker.settings) > landed, "rows land again")
    return time.monotonic() - freed_at


def test_fault_10_a_full_disk_of_the_store_pauses_the_worker_which_goes_on_by_itself_when_there_is_room(
    disk: SmallDisk, stored: Settings, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    resume_secs: list[float] = []
    worker = FaultWorker(stored, tmp_path)
    with Load(stored, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
        wait_until(lambda: landed_count(stored) > 0, "rows")
        assert worker.process is not None
        pid = worker.process.pid
        for _ in range(schedule.choose(3, 10)):
            resume_secs.append(fill_and_free(disk, worker, schedule.chance.uniform(*schedule.choose((0, 1), (0, 10)))))
        load.stop()
        wait_for_rows(stored, load.count)
        # It never fell over, and said where it stood.
        assert (worker.is_running, worker.process.pid) == (True, pid)
        assert lines(worker.log, "WARNING", "Waiting")
        assert worker.stop() == 0
    proof.note(injections=len(resume_secs), resume_secs=resume_secs, restarts=0)
    proof.note_workers(worker)
    proof.note_findings(judge(stored, load.ledger).require())


@pytest.mark.full
def test_fault_10_a_full_disk_of_the_store_control(
    disk: SmallDisk, stored: Settings, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    worker = FaultWorker(stored, tmp_path, guards_off="offset_check,retry")
    with Load(stored, tmp_path, schedule.chance, per_sec=300) as load, running(worker):
        wait_until(lambda: landed_count(stored) > 0, "rows")
        disk.fill()
        wait_until(lambda: len(lines(worker.log, "A flush failed")) >= 2, "flushes are left")
        disk.free()
        wait_for_more_rows(stored)
        load.stop()
        assert worker.stop() == 0
    # What was not read before it left is no loss: only what lies behind what has landed is.
    holes = judge(stored, load.ledger).found.holes
    proof.show(f"{holes:,} records passed over" if holes else "")


def test_fault_10_a_full_disk_of_a_worker_costs_memory_and_no_key(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    chance, first = schedule.chance, list[tuple[bytes, bytes, str]]()
    with small_disk(tmp_path / "disk", 8) as own:
        shutil.copy(settings.secrets_file, own.folder)
        worker = FaultWorker(settings, tmp_path, HEADWATER_HOME=str(own.folder), HEADWATER_DEDUP_MEMORY_BYTES_MAX="1000000")
        with Load(settings, tmp_path, chance, per_sec=0) as load, running(worker):
            wait_until(lambda: bool(lines(worker.log, "starts; metrics")), "the worker starts")
            own.fill()
            for number in range(60_000):
                key, value, event_id = load.build_record(number, chance)
                first += [(key, value, event_id)] if number % 100 == 0 else []
                load.send(key, value, event_id)
            wait_until(lambda: load.count == 60_000, "Kafka has them")
            wait_for_rows(settings, 60_000)
            said = lines(worker.log, "WARNING", "Dedup keys cannot be written", "No space left", "Make room on that disk")
            assert said
            assert metrics(worker)["headwater_dedup_memory_bytes"] > 1_000_000
            # Every one of them is still known.
            for key, value, event_id in first:
                load.send(key, value, event_id)
            wait_until(lambda: metrics(worker)["headwater_events_duplicate_total"] == len(first), "resends are set aside")
            assert own.is_full
            own.free()
            # A window writes when it learns: every partition gets a record.
            for number in range(200):
                load.send(*load.build_record(number, chance))
            wait_until(lambda: metrics(worker)["headwater_dedup_memory_bytes"] <= 1_000_000, "the keys go to disk")
            load.stop()
            wait_for_rows(settings, load.count)
            assert worker.stop() == 0
        proof.note(injections=1)
        proof.note_workers(worker)
        proof.note_findings(judge(settings, load.ledger).require())
