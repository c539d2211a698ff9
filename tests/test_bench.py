"""The benchmark: its table and what the README shows of it, its comparison, and the peers' check that no row is lost. No times."""

import dataclasses
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.config import Settings
from tests.bench import memory, report
from tests.bench.ground import find_processes, open_scene, preload, run_maintenance
from tests.bench.peer_runs import PEERS, Peer, PeerError, make_environment, run_peer
from tests.bench.report import ROOT, build_run, compare_runs, print_run, read_run, render_readme, write_readme
from tests.bench.rows import QUICK, Budget, Row
from tests.bench.stages import measure_stages
from tests.worker_process import wait_until

LAST = ROOT / "tests" / "bench" / "last.json"
README = ROOT / "README.md"
PEER_EVENTS = 400
# Sections that are younger than the last run; the next run empties this.
NOT_MEASURED_YET = {"answers"}
# Every peer writes by pyarrow, whatever lies between: this loses one row of the first file.
LOSE_A_ROW = """
import pyarrow.parquet as pq
write, lost = pq.write_table, []
def write_less(table, *given, **named):
    keep = table if lost else table.slice(1)
    lost.append(1)
    return write(keep, *given, **named)
pq.write_table = write_less
"""


def run_of(*rows: Row) -> dict[str, Any]:
    return build_run("quick", rows)


def test_figures_of_the_readme_are_those_of_the_last_run() -> None:
    page = README.read_text()
    assert write_readme(read_run(LAST), page) == page, "run: .venv/bin/python -m tests.bench --readme tests/bench/last.json"


def test_a_figure_that_is_another_one_is_found_in_the_readme() -> None:
    run = read_run(LAST)
    row = next(row for row in run["rows"] if row["section"] == "peers")
    row["cpu_us"] = 1234.0
    assert write_readme(run, README.read_text()) != README.read_text()


def test_last_run_measured_every_peer_and_every_section_and_nothing_failed() -> None:
    from tests.bench.__main__ import SECTIONS

    run = read_run(LAST)
    assert run["kind"] == "full", "a quick run is for daily work, not for the README"
    assert [row["what"] for row in run["rows"] if row.get("is_failed")] == []
    assert {row["section"] for row in run["rows"]} == set(SECTIONS) - NOT_MEASURED_YET
    assert {peer.what for peer in PEERS} <= {row["what"] for row in run["rows"]}


def test_table_names_every_peer_and_says_which_budgets_are_missed() -> None:
    rows = [Row("peers", peer.what, 50.0, ratio=1.5, budget=Budget("ratio", peer.ratio_min or 1.0, is_least=True)) for peer in PEERS]
    console = Console(file=io.StringIO(), width=200)
    print_run(run_of(*rows, Row("freshness", "p99", value=1.2, unit="s", budget=Budget("value", 2.0))), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for peer in PEERS:
        assert peer.what in text
        assert f">= {peer.ratio_min or 1:g}x {'missed' if peer.ratio_min else 'met'}" in text
    assert "<= 2 s met" in text
    assert all(peer.what in render_readme(run_of(*rows)) for peer in PEERS)


@pytest.mark.parametrize(("found", "is_met"), [(1.99, True), (2.0, True), (2.01, False)], ids=["within", "exactly", "beyond"])
def test_budget_holds_up_to_its_limit(found: float, is_met: bool) -> None:
    assert Row("a", "b", value=found, budget=Budget("value", 2.0)).is_met is is_met
    assert Row("a", "b", ratio=-found, budget=Budget("ratio", -2.0, is_least=True)).is_met is is_met
    assert Row("a", "b", budget=Budget("value", 2.0)).is_met is False
    assert Row("a", "b", value=found).is_met is None


def test_comparison_shows_what_changed_what_is_new_and_what_is_gone() -> None:
    before = run_of(
        Row("stages", "fetch", 2.0, 100_000), Row("stages", "proof", 1.0), Row("size", "hot", value=60.0), Row("up", "up", value=9.0)
    )
    after = run_of(Row("stages", "fetch", 1.0, 103_000), Row("stages", "enrich", 3.0), Row("size", "hot", value=61.0))
    assert list(compare_runs(before, after)) == [
        ("stages", "fetch", "cpu us", "2.00", "1.00", "-50%"),
        ("stages", "enrich", "cpu us", "", "3.00", "new"),
        ("stages", "proof", "cpu us", "1.00", "", "gone"),
    ]
    assert list(compare_runs(before, before)) == []


def test_file_that_is_no_run_is_named(tmp_path: Any) -> None:
    (tmp_path / "a.json").write_text('{"rows": [{}]}')
    with pytest.raises(report.ReportError, match=r"a\.json' is no run"):
        read_run(tmp_path / "a.json")


def test_nothing_is_left_of_a_run_that_was_killed() -> None:
    code = """
import time
from tests.bench.ground import open_ground, open_scene, start_headwater
with open_ground() as ground, open_scene(ground, "killed") as settings:
    start_headwater(settings, "worker")
    print(ground.home.parent, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        wait_until(lambda: len(find_processes(folder)) >= 4, "supervisord, Kafka, S3 and a worker run")
        run.kill()
    wait_until(lambda: not folder.exists(), "the folder is removed")
    assert find_processes(folder) == []


def test_every_stage_is_measured_over_events_that_all_land(stack: Settings) -> None:
    sizes = dataclasses.replace(QUICK, stage_events=40_000, window_keys=10_000)
    rows = {row.what: row for row in measure_stages(stack, sizes, [])}
    stages = ["fetch", "records and hashes", "validate", "deduplicate", "enrich", "encode", "upload", "commit", "sum of the stages"]
    stages.append("the same events as Avro: decode")
    assert [name for name in stages if not rows[name].cpu_us] == []
    assert any(name.startswith("  ") for name in rows), "no part of validate was timed: its functions have other names"


def test_keys_landed_for_a_full_window_are_all_in_the_window_that_is_rebuilt_with_and_without_the_snapshot(stack: Settings) -> None:
    with open_scene(stack, "keys") as settings:
        memory.land_keys(settings, 5_000)
        memory.rebuild_window(settings, 5_000)
        run_maintenance(settings)
        memory.rebuild_window(settings, 5_000)
        with pytest.raises(RuntimeError, match="the window has 5000 keys; expected 5001"):
            memory.rebuild_window(settings, 5_001)


@pytest.fixture(scope="module")
def topic(stack: Settings) -> Iterator[Settings]:
    """A scene whose topic has a few events more than the peers read."""
    make_environment()
    with open_scene(stack, "peers-check") as settings:
        preload(settings, PEER_EVENTS + 100)
        yield settings


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer.module}-{peer.columns}")
def test_peer_writes_a_row_for_each_record_and_fails_when_one_is_lost(topic: Settings, peer: Peer) -> None:
    before = set(ROOT.iterdir())
    found = run_peer(topic, peer, PEER_EVENTS)
    assert set(ROOT.iterdir()) == before, "what a peer keeps stays in the scene's home"
    assert found["consumed"] == found["rows"] == PEER_EVENTS
    with pytest.raises(PeerError, match=rf"{PEER_EVENTS} records were consumed, and the files hold {PEER_EVENTS - 1} rows"):
        run_peer(topic, peer, PEER_EVENTS, rig=LOSE_A_ROW)
