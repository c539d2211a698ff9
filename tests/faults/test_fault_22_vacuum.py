"""Row 22: a worker stopped for long holds files that are uploaded and in no commit yet, and somebody sweeps orphans out of the lake meanwhile."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from deltalake import DeltaTable

from pipeline.config import Settings
from pipeline.stores import build_store
from schemas.tables import load_table
from tests.conftest import RunHeadwater
from tests.faults.rig.failpoints import read_journal
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.lake_rows import as_arrow, event
from tests.maintained import Lander, paths_of
from tests.stream import landed_count
from tests.worker_process import running, wait_until

WAIT_SECS_MAX = 180
TABLES = {"after dead_letters upload": "dead_letters", "after events upload": "events"}


def stopping_plan(schedule: Schedule) -> list[dict[str, object]]:
    """So many stops, at both tables' uploads by turns, a few flushes between them."""
    count = schedule.choose(3, 12)
    return [{"at": list(TABLES)[number % 2], "pass": 3 + 3 * number, "do": "stop"} for number in range(count)]


def unnamed_paths(settings: Settings, table: str) -> set[str]:
    """Data files of a table that lie in the store and that its newest version does not name."""
    prefix = f"lake/{table}/"
    stored = {each.key.removeprefix(prefix) for each in build_store(settings).list_objects(prefix) if each.key.endswith(".parquet")}
    return stored - set(paths_of(settings, table))


def sweep_without_grace(settings: Settings, table: str) -> None:
    """What a full vacuum does that nobody guards: away with every file that no commit names, however young it is."""
    store = build_store(settings)
    handle = DeltaTable(store.uri(f"lake/{table}"), storage_options=store.delta_options())
    handle.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)


class HeldUploads:
    """A worker that is stopped, again and again, between an upload and its commit, under load: `held` are the files it had then, in order."""

    def __init__(self, settings: Settings, folder: Path, schedule: Schedule, guards_off: str = "", upload_secs_max: float = 600) -> None:
        self.worker = FaultWorker(settings, folder, plan=stopping_plan(schedule), guards_off=guards_off)
        self.worker.rig["HEADWATER_UPLOAD_SECS_MAX"] = str(upload_secs_max)
        self.held: list[tuple[str, set[str]]] = []
        self._settings = settings

    def meet_each(self, sweep: Callable[[str], object], stopped_secs: float) -> None:
        """At each stop: `sweep` that table, and let the worker wake up and go on when it has been stopped for so long at least."""
        for number in range(len(self.worker.plan)):
            wait_until(lambda number=number: len(read_journal(self.worker.journal)) > number, "the worker has stopped", WAIT_SECS_MAX)  # type: ignore[misc]
            assert self.worker.process is not None
            process = psutil.Process(self.worker.process.pid)
            wait_until(lambda process=process: process.status() == psutil.STATUS_STOPPED, "it is stopped")  # type: ignore[misc]
            stopped_at = time.monotonic()
            table = TABLES[read_journal(self.worker.journal)[-1]["at"]]
            self.held.append((table, unnamed_paths(self._settings, table)))
            assert self.held[-1][1], "the worker holds no upload"
            sweep(table)
            time.sleep(max(0.0, stopped_at + stopped_secs - time.monotonic()))
            process.resume()


@pytest.mark.timeout(900)
def test_fault_22_uploads_of_a_stopped_worker_outlive_a_full_vacuum_and_land(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof, run_headwater: RunHeadwater
) -> None:
    uploads = HeldUploads(settings, tmp_path, schedule)
    deleted = 0

    def vacuum(_: str) -> None:
        nonlocal deleted
        done = run_headwater("maintain", "--full-vacuum", "--json")
        assert done.returncode == 0, done.stderr
        deleted += sum(each["deleted"] for each in json.loads(done.stdout))

    with Load(settings, tmp_path, schedule.chance, per_sec=500) as load, running(uploads.worker):
        uploads.meet_each(vacuum, stopped_secs=0)
        load.stop()
        wait_for_rows(settings, load.count)
        assert uploads.worker.stop(60) == 0
    landed = {table: set(paths_of(settings, table)) for table in TABLES.values()}
    late = sum(len(paths & landed[table]) for table, paths in uploads.held)
    proof.note(
        injections=len(uploads.held), files_held=sum(len(paths) for _, paths in uploads.held), files_landed_late=late, files_deleted=deleted
    )
    proof.note_workers(uploads.worker)
    proof.note_findings(judge(settings, load.ledger).require())
    assert deleted == 0
    assert late >= len(uploads.held), "a stopped worker's upload was not committed"


UPLOAD_SECS_MAX = 2


@pytest.mark.timeout(900)
def test_fault_22_uploads_that_lay_about_too_long_are_read_again_and_not_committed(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    """The sweep has no grace at all, so that each file that were committed all the same would be missed."""
    uploads = HeldUploads(settings, tmp_path, schedule, upload_secs_max=UPLOAD_SECS_MAX)
    with Load(settings, tmp_path, schedule.chance, per_sec=500) as load, running(uploads.worker):
        uploads.meet_each(lambda table: sweep_without_grace(settings, table), UPLOAD_SECS_MAX + 0.5)
        load.stop()
        wait_for_rows(settings, load.count)
        assert uploads.worker.stop(60) == 0
    proof.note(injections=len(uploads.held), files_held=sum(len(paths) for _, paths in uploads.held), upload_secs_max=UPLOAD_SECS_MAX)
    proof.note_workers(uploads.worker)
    proof.note_findings(judge(settings, load.ledger).require())
    for table, paths in uploads.held:
        assert not paths & set(paths_of(settings, table)), "an upload that was swept away was committed"


@pytest.mark.full
@pytest.mark.timeout(600)
def test_fault_22_uploads_that_lay_about_too_long_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    guards_off = "stale_upload"
    uploads = HeldUploads(settings, tmp_path, schedule, guards_off, upload_secs_max=UPLOAD_SECS_MAX)
    with Load(settings, tmp_path, schedule.chance, per_sec=500) as load, running(uploads.worker):
        uploads.meet_each(lambda table: sweep_without_grace(settings, table), UPLOAD_SECS_MAX + 0.5)
        load.stop()
        wait_until(lambda: landed_count(settings) >= load.count, "all rows, as the log counts them", WAIT_SECS_MAX)
        assert uploads.worker.stop(60) == 0
    missing = 0
    for table in set(TABLES.values()):
        stored = {each.key for each in build_store(settings).list_objects(f"lake/{table}/")}
        missing += sum(f"lake/{table}/{path}" not in stored for path in paths_of(settings, table))
    proof.note(injections=len(uploads.held), files_missing=missing)
    proof.show(f"{missing} files that the log names are gone, with the rows in them" if missing else "")


def test_fault_22_an_unsafe_grace_is_refused_and_nothing_is_deleted(settings: Settings, proof: Proof, run_headwater: RunHeadwater) -> None:
    lander = Lander(settings)
    lander.land(10)
    lander.table.upload(as_arrow(load_table("events"), [event()]))
    before = [each.key for each in build_store(settings).list_objects("lake/")]
    unsafe = ("0", "24", "nan")
    for grace_hours in unsafe:
        done = run_headwater("maintain", "--full-vacuum", "--grace-hours", grace_hours)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"'--grace-hours' is {grace_hours}; expected 168" in done.stderr
    assert [each.key for each in build_store(settings).list_objects("lake/")] == before
    proof.note(injections=len(unsafe), refused=len(unsafe))
