"""Row 21: compaction, appends and queries together: maintainers that are stopped and overtaken, beside a worker at full speed with readers looking on."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from pipeline.ask.reader import Reader, open_reader
from pipeline.config import Settings
from pipeline.stores import build_store
from schemas.errors import HeadwaterError
from tests.conftest import RunHeadwater
from tests.faults.rig.beside import Beside
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.load import Load
from tests.faults.rig.maintainer import Maintainer, maintaining
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.rig.verdict import judge, wait_for_rows
from tests.maintained import NOON, Lander, build, paths_of, rows_of, run
from tests.stream import landed_count
from tests.worker_process import running, wait_until

METRICS_PAGE = Path(__file__).parents[2] / "pipeline" / "METRICS.md"
WAIT_SECS_MAX = 180
SUMS = "select count(*), sum(_offset), sum(hash(event_id)), sum(hash(_partition, _offset)) from staging.events where event_type is not null"


@pytest.mark.parametrize("step", ["before events upload", "before events commit", "before dedup_keys commit", "before events checkpoint"])
@pytest.mark.timeout(600)
def test_fault_21_a_maintainer_that_wakes_after_another_has_done_its_work_doubles_nothing(
    settings: Settings, tmp_path: Path, schedule: Schedule, proof: Proof, step: str
) -> None:
    lander = Lander(settings)
    for number in range(8):
        lander.land(30, NOON + timedelta(minutes=number))
    stopped = Maintainer(settings, tmp_path, variables={"RIG_STEP": step, "RIG_SIGNAL": "STOP"}, module="tests.rigged_maintainer")
    with maintaining(stopped):
        stopped.wait_until_stopped()
        lander.land(30, NOON + timedelta(minutes=20))
        run(build(settings))
        lander.land(30, NOON + timedelta(minutes=30))
        time.sleep(schedule.choose(2, 60))
        stopped.resume()
        assert stopped.wait() == 0, stopped.log.read_text()
    assert rows_of(settings) == lander.landed
    run(build(settings))
    found = rows_of(settings)
    assert found == lander.landed
    assert len(paths_of(settings)) < 9
    proof.note(injections=1, stopped_secs=schedule.choose(2, 60), records=lander.landed.total())
    proof.note(lost=(lander.landed - found).total(), duplicate=(found - lander.landed).total())


def test_fault_21_two_that_optimize_control(settings: Settings, proof: Proof) -> None:
    """delta-rs' own compaction: of two that began at one version each adds its files, and neither looks for the other."""
    lander = Lander(settings)
    for number in range(6):
        lander.land(50, NOON + timedelta(minutes=number))
    store = build_store(settings)
    rivals = [DeltaTable(store.uri("lake/events"), storage_options=store.delta_options()) for _ in range(2)]
    for rival in rivals:
        rival.optimize.compact(target_size=10_000_000)
    found = rows_of(settings)
    assert found == Counter({row: 2 for row in lander.landed})
    proof.show(f"duplicate {sum(found.values()) - len(found)}, every row")


class Readers:
    """Queries in a loop from two threads: of the newest version each time, and of one version for long. `failures`: what failed, or was not as before."""

    def __init__(self, settings: Settings) -> None:
        self.counts: list[int] = []
        self.again_count = 0
        self.failures: list[str] = []
        self._settings = settings
        self._threads = Beside(*(partial(self._run, look) for look in (self._look_at_newest, self._look_for_long)))

    def __enter__(self) -> "Readers":
        self._threads.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.stop()

    @property
    def query_count(self) -> int:
        return 2 * len(self.counts) + self.again_count

    def _run(self, look: Callable[[Reader, threading.Event], None], is_done: threading.Event) -> None:
        while not is_done.is_set():
            try:
                with open_reader(self._settings) as reader:
                    look(reader, is_done)
            except (HeadwaterError, duckdb.Error, OSError) as error:
                self.failures.append(str(error))

    def _look_at_newest(self, reader: Reader, is_done: threading.Event) -> None:
        # The second query is of the same version, which compaction may have replaced by then.
        ((count, *_),) = reader.rows(SUMS)
        ((again,),) = reader.rows("select count(distinct event_id || _partition || '/' || _offset) from staging.events")
        if again != count:
            self.failures.append(f"{count} rows, {again} distinct")
        self.counts.append(count)

    def _look_for_long(self, reader: Reader, is_done: threading.Event) -> None:
        """One version, as long as the test goes on."""
        first = reader.rows(SUMS)
        while not is_done.wait(0.3):
            if (now := reader.rows(SUMS)) != first:
                self.failures.append(f"{first}, and later {now}, of one version")
            self.again_count += 1


def read_sums(settings: Settings) -> tuple[object, ...]:
    with open_reader(settings) as reader:
        return reader.rows(SUMS)[0]


def files_compacted(maintainers: list[Maintainer]) -> float:
    return sum(one.metrics()["headwater_maintain_files_compacted_total"] for one in maintainers)


def stop_by_turns(maintainers: list[Maintainer], schedule: Schedule) -> list[float]:
    """Each stopped in turn, wherever it is, while the other goes on compacting; for how many seconds."""
    stopped_secs = schedule.choose([1.0, 2.0, 1.0], [60.0, 10.0, 10.0, 10.0])
    for number, secs in enumerate(stopped_secs):
        stopped, other = maintainers[number % 2], maintainers[(number + 1) % 2]
        before, began = files_compacted(maintainers), time.monotonic()
        wait_until(lambda before=before: files_compacted(maintainers) > before, "files are compacted", WAIT_SECS_MAX)  # type: ignore[misc]
        time.sleep(schedule.chance.uniform(0, 0.5))
        stopped.suspend()
        before, began = files_compacted([other]), time.monotonic()
        wait_until(lambda before=before, other=other: files_compacted([other]) > before, "the other goes on", WAIT_SECS_MAX)  # type: ignore[misc]
        time.sleep(max(0.0, began + secs - time.monotonic()))
        stopped.resume()
    return stopped_secs


@pytest.mark.timeout(900)
def test_fault_21_beside_a_worker_at_full_speed_two_maintainers_cost_no_row_and_no_query(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof, run_headwater: RunHeadwater
) -> None:
    worker = FaultWorker(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.2")
    maintainers = [Maintainer(settings, tmp_path, number) for number in range(2)]
    load = Load(settings, tmp_path, schedule.chance, per_sec=schedule.choose(1500, 4000))
    with maintaining(*maintainers), running(worker), load:
        # A table that is being made at this very moment has a log without a file.
        wait_until(lambda: landed_count(settings) > 0, "the worker has made its tables", WAIT_SECS_MAX)
        with Readers(settings) as readers:
            stopped_secs = stop_by_turns(maintainers, schedule)
        load.stop()
        wait_for_rows(settings, load.count)
        assert worker.stop(60) == 0
        before, compacted = read_sums(settings), files_compacted(maintainers)
        refused = sum(one.metrics()["headwater_maintain_refusals_total"] for one in maintainers)
        assert maintainers[1].stop() == 0
        # The second run that ends from now on began when all was there, and nobody else is at it: its figures are of the end.
        for _ in range(2):
            wait_for_a_run(maintainers[0])
        check_metrics(settings, maintainers[0].metrics())
        assert maintainers[0].stop() == 0
    # Whatever is still small.
    done = run_headwater("maintain", "--once", maintain_files_max="2", maintain_file_bytes_target="1000000")
    assert done.returncode == 0, done.stderr
    proof.note(injections=len(stopped_secs), stopped_secs=stopped_secs, files_compacted=compacted, maintainers_refused=refused)
    proof.note(queries=readers.query_count, queries_failed=len(readers.failures))
    proof.note_workers(worker)
    proof.note_findings(judge(settings, load.ledger).require())
    assert readers.failures == []
    assert len(readers.counts) > 3
    assert readers.again_count > 3
    assert readers.counts == sorted(readers.counts)
    assert read_sums(settings) == before


def wait_for_a_run(maintainer: Maintainer) -> None:
    """Until another run has ended."""
    now = time.time()
    wait_until(lambda: maintainer.metrics()["headwater_maintain_run_timestamp_seconds"] > now, "a run ends")


def check_metrics(settings: Settings, found: Counter[str]) -> None:
    """Every metric of the page is served; files are those of the lake."""
    promised = set(re.findall(r"^\| `(headwater_maintain_\w+)`", METRICS_PAGE.read_text(), re.MULTILINE))
    assert len(promised) > 10
    assert promised <= set(found)
    assert found["headwater_maintain_files"] == sum(len(paths_of(settings, name)) for name in ("events", "dead_letters", "dedup_keys"))
    assert found["headwater_maintain_failures_total"] == 0
