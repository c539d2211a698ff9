"""Maintenance as processes: one stopped in mid-run while another works, and one beside a worker at full speed with a reader looking on."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.ask.reader import open_reader
from pipeline.audit import audit_lake, summarize
from pipeline.config import Settings
from pipeline.stack.programs import environment
from schemas.errors import HeadwaterError
from tests.maintained import NOON, Lander, build, paths_of, rows_of, run
from tests.stream import landed_count
from tests.test_exactly_once import Load
from tests.worker_process import WorkerProcess, running, wait_until

METRICS_PAGE = Path(__file__).parents[1] / "pipeline" / "METRICS.md"


@contextmanager
def process(settings: Settings, arguments: list[str], **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is surely gone after the block."""
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=os.environ | environment(settings) | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as found:
        try:
            yield found
        finally:
            if found.poll() is None:
                found.kill()


@pytest.mark.parametrize("stopped_secs", [2, pytest.param(60, marks=pytest.mark.full)])
@pytest.mark.parametrize("step", ["before events upload", "before events commit", "before dedup_keys commit", "before events checkpoint"])
@pytest.mark.timeout(600)
def test_a_maintainer_that_wakes_after_another_has_done_its_work_doubles_nothing(
    settings: Settings, step: str, stopped_secs: float
) -> None:
    """The short form stops it for two seconds; the long one for the sixty that are promised."""
    lander = Lander(settings)
    for number in range(8):
        lander.land(30, NOON + timedelta(minutes=number))
    with process(settings, ["tests.rigged_maintainer"], RIG_STEP=step, RIG_SIGNAL="STOP") as stopped:
        wait_until(lambda: psutil.Process(stopped.pid).status() == psutil.STATUS_STOPPED, f"it stops {step}")
        lander.land(30, NOON + timedelta(minutes=20))
        run(build(settings))
        lander.land(30, NOON + timedelta(minutes=30))
        time.sleep(stopped_secs)
        stopped.send_signal(signal.SIGCONT)
        said = stopped.communicate(timeout=120)[0]
    assert stopped.returncode == 0, said
    assert rows_of(settings) == lander.landed
    run(build(settings))
    assert rows_of(settings) == lander.landed
    assert len(paths_of(settings)) < 9


class Reading:
    """Queries in a loop from a thread, each on a reader of its own: how many there were, and what failed."""

    def __init__(self, settings: Settings) -> None:
        self.counts: list[int] = []
        self.failures: list[str] = []
        self._settings, self._is_done = settings, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Reading":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_done.is_set():
            try:
                with open_reader(self._settings) as reader:
                    # The second query is of the same version, which compaction may have replaced by then.
                    ((count,),) = reader.rows("select count(*) from staging.events where event_type is not null")
                    ((again,),) = reader.rows("select count(distinct event_id || _partition || '/' || _offset) from staging.events")
                if again != count:
                    self.failures.append(f"{count} rows, {again} distinct")
                self.counts.append(count)
            except (HeadwaterError, duckdb.Error, OSError) as error:
                self.failures.append(str(error))


@pytest.mark.timeout(300)
def test_beside_a_worker_at_full_speed_no_row_is_lost_or_doubled_and_no_query_fails(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    worker = WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.2")
    often = {"HEADWATER_MAINTAIN_SECS": "0.5", "HEADWATER_MAINTAIN_FILES_MAX": "6", "HEADWATER_MAINTAIN_FILE_BYTES_TARGET": "1000000"}
    with process(settings, ["pipeline.cli", "maintain"], **often) as maintenance, running(worker):
        wait_until(lambda: metrics(settings) != {}, "maintenance answers")
        # A table that is being made at this very moment has a log without a file.
        wait_until(lambda: " starts; " in worker.log.read_text(), "the worker has made its tables")
        with Load(settings, seed=5, per_sec=4000) as load, Reading(settings) as reading:
            wait_until(lambda: metrics(settings)["headwater_maintain_files_compacted_total"] > 40, "forty files are compacted", 120)
        wait_until(lambda: landed_count(settings) == load.count, "all in the lake")
        # The second run that ends from now on began when all was there: its figures are of the end.
        for _ in range(2):
            wait_for_a_run(settings)
        found = metrics(settings)
        assert worker.stop() == 0
        maintenance.send_signal(signal.SIGTERM)
        assert maintenance.wait(30) == 0
    assert reading.failures == []
    assert len(reading.counts) > 3
    assert reading.counts == sorted(reading.counts)
    summary = summarize(audit_lake(settings))
    assert summary["is_clean"], summary
    assert summary["consumed"] == load.count
    assert max(rows_of(settings).values()) == 1
    check_metrics(settings, found)


def wait_for_a_run(settings: Settings) -> None:
    """Until another run has ended."""
    now = time.time()
    wait_until(lambda: metrics(settings)["headwater_maintain_run_timestamp_seconds"] > now, "a run ends")


def check_metrics(settings: Settings, found: Counter[str]) -> None:
    """Every metric of the page is served; files and bytes are those of the lake."""
    promised = set(re.findall(r"^\| `(headwater_maintain_\w+)`", METRICS_PAGE.read_text(), re.MULTILINE))
    assert len(promised) > 10
    assert promised <= set(found)
    assert found["headwater_maintain_files"] == sum(len(paths_of(settings, name)) for name in ("events", "dead_letters", "dedup_keys"))
    assert found["headwater_maintain_failures_total"] == 0


def metrics(settings: Settings) -> Any:
    """The samples of maintenance by name, summed over their labels; {} before it answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.maintain_address_port}/metrics", timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    except OSError:
        return {}
    found = Counter[str]()
    for family in families:
        for sample in family.samples:
            found[sample.name] += sample.value  # type: ignore[assignment]
    return found
