"""What the lake says is what the ledger says, dirty share included; and a guard that is off shows in the comparison."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.simulate.compare import compare_ledger, list_differences
from pipeline.stack.programs import environment
from tests.conftest import RunHeadwater

SIMULATE = ("simulate", "--users", "400", "--days", "4", "--start", "2026-10-01", "--seed", "9", "--dirty", "0.15", "--json")


@contextmanager
def running_worker(settings: Settings, folder: Path, **overrides: str) -> Iterator[None]:
    variables = {f"HEADWATER_{name.upper()}": value for name, value in overrides.items()}
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "worker"], env=os.environ | environment(settings) | variables, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(30)


def wait_for_records(settings: Settings, count: int) -> None:
    """Until the lake holds `count` records, in whichever table."""
    deadline = time.monotonic() + 120
    found = 0
    while found < count:
        assert time.monotonic() < deadline, f"{found} of {count} records are in the lake"
        time.sleep(0.2)
        with open_reader(settings) as reader:
            found = reader.rows("select (select count(*) from staging.events) + (select count(*) from staging.dead_letters)")[0][0]


def simulate_into_lake(settings: Settings, run_headwater: RunHeadwater, folder: Path, *arguments: str, **overrides: str) -> dict[str, Any]:
    path = folder / "ledger.json"
    with running_worker(settings, folder, **overrides):
        done = run_headwater(*SIMULATE, *arguments, "--ledger", str(path))
        assert done.returncode == 0, done.stderr
        wait_for_records(settings, json.loads(done.stdout)["sent"])
    ledger = json.loads(path.read_text())
    assert isinstance(ledger, dict)
    return ledger


@pytest.mark.parametrize("encoding", ["json", "mixed"])
@pytest.mark.usefixtures("topics")
def test_every_figure_of_the_ledger_is_what_the_core_views_say(
    settings: Settings, run_headwater: RunHeadwater, tmp_path: Path, encoding: str
) -> None:
    ledger = simulate_into_lake(settings, run_headwater, tmp_path, "--encoding", encoding)
    assert len(ledger["dead_letters"]) >= 9
    assert min(ledger[name] for name in ("duplicates", "sessions_by_gap", "purchases", "delayed_events", "bot_events")) > 0
    done = run_headwater("simulate", "--compare", str(tmp_path / "ledger.json"), "--json")
    assert json.loads(done.stdout)["differences"] == []
    assert done.returncode == 0

    # A ledger that is wrong in one figure differs in that figure.
    (tmp_path / "wrong.json").write_text(json.dumps(ledger | {"revenue": ledger["revenue"] + 0.01}))
    done = run_headwater("simulate", "--compare", str(tmp_path / "wrong.json"), "--json")
    assert [difference["figure"] for difference in json.loads(done.stdout)["differences"]] == ["revenue"]
    assert done.returncode == 1


@pytest.mark.full
@pytest.mark.usefixtures("topics")
def test_without_deduplication_the_comparison_shows_the_resends(settings: Settings, run_headwater: RunHeadwater, tmp_path: Path) -> None:
    ledger = simulate_into_lake(settings, run_headwater, tmp_path, dedup_enabled="false")
    with open_reader(settings) as reader:
        differences = {name: (expected, found) for name, expected, found in list_differences(compare_ledger(ledger, reader.rows))}
    assert differences["duplicates"] == (ledger["duplicates"], 0)
    assert differences["landed"] == (ledger["landed"], ledger["landed"] + ledger["duplicates"])
    assert "sent" not in differences
