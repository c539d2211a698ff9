"""Maintenance on real Delta tables: every row once whatever is refused, dies or lies; old files, old log and old handles."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake.exceptions import DeltaError

import pipeline.maintenance.compact
from pipeline.config import Settings
from pipeline.maintenance.compact import Tenure
from pipeline.maintenance.log_upkeep import require_safe_grace, vacuum_fully
from pipeline.stack.programs import environment
from pipeline.stores import build_store
from schemas.errors import UsageError
from schemas.tables import load_table
from sinks.compacted_parquet import sort_rows
from sinks.lake import LakeTable
from tests.conftest import RunHeadwater
from tests.lake_rows import as_arrow, dead_letter, event, write_lake
from tests.maintained import NOON, SMALL, Lander, build, open_table, paths_of, rows_of, run, run_until


@pytest.fixture
def lander(settings: Settings) -> Lander:
    """A lake of six commits, fifty events each."""
    found = Lander(settings)
    for number in range(6):
        found.land(50, NOON + timedelta(minutes=number))
    return found


def test_small_files_become_few_with_the_same_rows_in_order(settings: Settings, lander: Lander) -> None:
    report = run(build(settings))["events"]
    assert report["rows_compacted"] == 300
    assert report["files"] < 6
    assert rows_of(settings) == lander.landed
    store = build_store(settings)
    for path in paths_of(settings):
        file = pq.ParquetFile(pa.BufferReader(store.get(f"lake/events/{path}")))
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, columns=["app_id", "event_type", "event_timestamp"]).to_pylist()
            assert rows == sorted(rows, key=lambda row: (row["app_id"], row["event_type"], row["event_timestamp"]))


def test_every_column_stays_as_it_was_those_of_other_settings_too(settings: Settings) -> None:
    promoted = load_table("events").with_promoted(["plan"])
    rows = [event(attribute_plan="gold" if number % 2 else None, extra="{}", sent_at=NOON) for number in range(8)]
    for row in rows:
        write_lake(settings, "events", [row], promoted)
    before = open_table(settings).dataset().to_table().sort_by("_offset")
    assert run(build(settings))["events"]["rows_compacted"] == 8
    after = open_table(settings).dataset().to_table().sort_by("_offset")
    assert after.schema.equals(before.schema)
    assert after.to_pylist() == before.to_pylist()
    assert after["attribute_plan"].to_pylist() == [row["attribute_plan"] for row in rows]


def test_every_table_with_a_schema_is_kept_and_one_that_is_not_there_is_not_made(settings: Settings) -> None:
    for _ in range(8):
        write_lake(settings, "dead_letters", [dead_letter()])
    reports = run(build(settings))
    assert reports["dead_letters"]["rows_compacted"] == 8
    assert "events" not in reports
    assert not LakeTable(build_store(settings), load_table("imports")).exists()


def test_compacted_files_have_the_bounds_by_which_readers_skip_them(settings: Settings, lander: Lander) -> None:
    run(build(settings))
    table = open_table(settings)
    bounds = pa.table(table._delta().get_add_actions(flatten=True)).to_pylist()
    assert {bound["num_records"] for bound in bounds} != {None}
    assert min(bound["min._offset"] for bound in bounds) == 0
    assert max(bound["max._offset"] for bound in bounds) == 299
    assert {bound["min._topic_id"] for bound in bounds} == {"topic-1"}
    assert [f for f in table.dataset().get_fragments(ds.field("_offset") >= 300)] == []


def test_a_folder_that_is_compacted_is_left_alone_until_it_has_grown(settings: Settings, lander: Lander) -> None:
    maintenance = build(settings)
    run(maintenance)
    paths, version = paths_of(settings), open_table(settings).version()
    assert run(maintenance)["events"]["rows_compacted"] == 0
    assert (paths_of(settings), open_table(settings).version()) == (paths, version)


def test_a_folder_of_an_earlier_day_becomes_one_file_once_it_is_quiet(settings: Settings) -> None:
    lander = Lander(settings)
    for _ in range(3):
        lander.land(5)
    since = [0.0]
    rules = dataclasses.replace(SMALL, file_bytes_target=10_000_000)
    maintenance = build(settings, rules, lambda: time.time() + since[0])
    since[0] = 3500
    assert run(maintenance)["events"]["files"] == 3
    since[0] = 3700
    assert run(maintenance)["events"]["files"] == 1
    assert rows_of(settings) == lander.landed


def test_compaction_goes_through_beside_an_append(settings: Settings, lander: Lander) -> None:
    steps = build(settings).run([])
    run_until(steps, "before events commit")
    stale = open_table(settings)
    lander.land(30)
    list(steps)
    assert rows_of(settings) == lander.landed
    assert len(paths_of(settings)) < 6
    # And an append on a handle from before the compaction goes through too.
    stale.commit(stale.upload(as_arrow(load_table("events"), [event(event_id="late", _topic_id="topic-1", _offset=99999)])), {"x": 1})
    assert rows_of(settings)[("topic-1", "late", 0, 99999)] == 1


@pytest.mark.parametrize("step", ["before events read", "before events upload", "before events commit", "after events commit"])
def test_of_two_maintainers_one_is_refused_and_every_row_is_there_once(settings: Settings, lander: Lander, step: str) -> None:
    first, reports = build(settings), []  # type: ignore[var-annotated]
    steps = first.run(reports)
    run_until(steps, step)
    second = build(settings)
    second_report = run(second)["events"]
    list(steps)
    assert rows_of(settings) == lander.landed
    refused = first.metrics.refusals.labels("events")._value.get()
    assert refused == (0 if step == "after events commit" and not second_report["rows_compacted"] else 1)
    assert sum(report["rows_compacted"] for report in reports if report["table"] == "events") + second_report["rows_compacted"] == 300


@pytest.mark.parametrize("is_numbered", [True, pytest.param(False, id="control")])
def test_a_maintainer_that_was_overtaken_drops_the_rest_of_its_plan(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, is_numbered: bool
) -> None:
    if not is_numbered:
        # Nobody sees that there is another.
        monkeypatch.setattr(Tenure, "transaction", lambda self: {})
        monkeypatch.setattr(Tenure, "settle", lambda self, is_refused=False: self._table.refresh() or not is_refused)
    lander = Lander(settings)
    for day, files in ((1, 4), (0, 8)):
        for _ in range(files):
            lander.land(20, NOON - timedelta(days=day))
    first = build(settings, dataclasses.replace(SMALL, file_bytes_target=10_000_000))
    steps = first.run([])
    run_until(steps, "before events commit")
    # It has planned both folders. Another one, by other settings, plans the second alone: one commit, as many as the first expects of itself.
    second = build(settings, dataclasses.replace(SMALL, file_bytes_target=10_000_000, files_max=8))
    assert run(second)["events"]["rows_compacted"] == 160
    list(steps)
    if is_numbered:
        assert rows_of(settings) == lander.landed
        assert first.metrics.refusals.labels("events")._value.get() == 1
    else:
        assert rows_of(settings) != lander.landed


def test_a_file_that_cannot_be_read_costs_its_table_and_no_other(settings: Settings) -> None:
    lander, store = Lander(settings), build_store(settings)
    for _ in range(3):
        lander.land(20)
        run(build(settings))
    for key in [each.key for each in store.list_objects("lake/dedup_keys/") if each.key.endswith(".parquet")]:
        store.put(key, b"PAR1 no more")
    lander.land(20)
    maintenance = build(settings)
    reports = run(maintenance)
    assert reports["dedup_keys"]["failure"]
    assert maintenance.metrics.failures.labels("dedup_keys")._value.get() == 1
    assert (reports["events"]["failure"], reports["events"]["rows_compacted"], rows_of(settings)) == (None, 80, lander.landed)


STEPS = [
    "before dedup_keys read",
    "before dedup_keys upload",
    "before dedup_keys commit",
    "after dedup_keys commit",
    "before events read",
    "before events upload",
    "before events commit",
    "after events commit",
    "before events checkpoint",
    "before events log cleanup",
]


@pytest.mark.parametrize("step", STEPS)
def test_a_maintainer_that_is_killed_at_any_step_leaves_every_row_once_and_the_next_run_finishes(
    settings: Settings, lander: Lander, step: str
) -> None:
    done = _run_rigged(settings, step)
    assert done.returncode == 137, done.stderr
    assert rows_of(settings) == lander.landed
    reports = run(build(settings))
    assert rows_of(settings) == lander.landed
    assert reports["events"]["small_files"] < SMALL.files_max
    assert reports["events"]["log_commits"] < SMALL.checkpoint_commits
    assert sum(1 for _ in _key_rows(settings)) == 300


def _run_rigged(settings: Settings, step: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | environment(settings) | {"RIG_STEP": step, "RIG_SIGNAL": "KILL"}
    command = [sys.executable, "-m", "tests.rigged_maintainer"]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)


def _key_rows(settings: Settings) -> list[Any]:
    found: list[Any] = open_table(settings, "dedup_keys").dataset().to_table(columns=["id", "rest"]).to_pylist()
    return found


def test_a_compaction_that_would_lose_a_row_is_given_up(settings: Settings, lander: Lander, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.maintenance.compact, "sort_rows", lambda rows, by: sort_rows(rows, by).slice(1))
    report = run(build(settings))["events"]
    assert report["failure"]
    assert "the log names" in report["failure"]
    assert rows_of(settings) == lander.landed
    assert len(paths_of(settings)) == 6


def test_control_without_the_count_a_row_is_lost(settings: Settings, lander: Lander, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.maintenance.compact, "sort_rows", lambda rows, by: sort_rows(rows, by).slice(1))
    monkeypatch.setattr(pipeline.maintenance.compact, "require_same_rows", lambda *_: None)
    run(build(settings))
    assert rows_of(settings) != lander.landed


def test_an_upload_that_lay_about_too_long_is_not_committed(settings: Settings, lander: Lander) -> None:
    maintenance = build(settings, dataclasses.replace(SMALL, upload_secs_max=-1))
    assert run(maintenance)["events"]["rows_compacted"] == 0
    assert rows_of(settings) == lander.landed


def test_files_of_an_earlier_version_stay_for_the_retention_and_go_after_it(settings: Settings, lander: Lander) -> None:
    since = [0.0]
    maintenance = build(settings, clock=lambda: time.time() + since[0])
    reader = open_table(settings).dataset()
    run(maintenance)
    since[0] = 5.9 * 3600
    run(maintenance)
    assert reader.to_table(columns=["event_id"]).num_rows == 300
    since[0] = 6.1 * 3600
    run(maintenance)
    with pytest.raises(FileNotFoundError):
        reader.to_table(columns=["event_id"])
    assert rows_of(settings) == lander.landed
    assert not {path for path in reader.files if path.removeprefix(f"{settings.s3_bucket}/") in _stored(settings)}


def test_the_lite_vacuum_never_touches_an_upload_that_waits_for_its_commit(settings: Settings, lander: Lander) -> None:
    since = [0.0]
    maintenance = build(settings, clock=lambda: time.time() + since[0])
    table = open_table(settings)
    waiting = table.upload(as_arrow(load_table("events"), [event(event_id="waits", _topic_id="topic-1", _offset=5000)]))
    run(maintenance)
    since[0] = 900 * 86400
    run(maintenance)
    table.refresh()
    table.commit(waiting, {"x": 1})
    assert rows_of(settings) == lander.landed + Counter([("topic-1", "waits", 0, 5000)])


def test_the_full_vacuum_deletes_what_no_commit_names_once_it_is_seven_days_old(settings: Settings, lander: Lander) -> None:
    maintenance = build(settings)
    run(maintenance)
    (table,) = [each for each in maintenance.tables if each.name == "events"]
    table.refresh()
    table.upload(as_arrow(load_table("events"), [event()]))
    stored = len(_stored(settings))
    assert vacuum_fully(table, 168, time.time() + 6.9 * 86400) == 0
    assert vacuum_fully(table, 168, time.time() + 7.1 * 86400) == 1
    assert len(_stored(settings)) == stored - 1
    assert rows_of(settings) == lander.landed


@pytest.mark.parametrize("grace_hours", [0, 24, 167.9, float("nan")])
def test_an_unsafe_grace_is_refused(grace_hours: float) -> None:
    with pytest.raises(UsageError, match=r"'--grace-hours' is .*; expected 168 \(seven days\) or more"):
        require_safe_grace(grace_hours)
    require_safe_grace(168)


def _stored(settings: Settings) -> list[str]:
    """Data files of the events that are in the store, named by the log or not."""
    found = build_store(settings).list_objects("lake/events/arrival_date")
    return [each.key for each in found]


@pytest.fixture
def cleaned(settings: Settings) -> dict[str, Any]:
    """A table whose log was cleaned up to its last checkpoint, and a handle from long before; `wanted`: all its transactions."""
    lander = Lander(settings)
    lander.land(2, partitions=2)
    old = open_table(settings)
    upload = old.upload(as_arrow(load_table("events"), [event()]))
    for number in range(12):
        lander.land(2)
        if number == 5:
            lander.land(1, topic_id="topic-2")
    run(build(settings, dataclasses.replace(SMALL, log_retention_secs=0, files_max=1000, file_bytes_target=10**9)))
    names = [each.key for each in build_store(settings).list_objects("lake/events/_delta_log/")]
    assert not any(name.endswith("00000000000000000002.json") for name in names)
    wanted = {position.app_id("events"): offset for position, offset in lander.offsets.items()}
    return {"lander": lander, "old": old, "upload": upload, "wanted": wanted}


def test_a_worker_with_a_handle_from_before_the_cleanup_goes_on(settings: Settings, cleaned: dict[str, Any]) -> None:
    old, before = cleaned["old"], cleaned["old"].version()
    old.refresh()
    assert old.version() > before + 10
    assert {app_id: old.committed(app_id) for app_id in cleaned["wanted"]} == cleaned["wanted"]
    old.commit(cleaned["upload"], {"events/topic-1/0": 10_000})
    old.refresh()
    assert old.committed("events/topic-1/0") == 10_000


def test_a_commit_on_a_handle_from_before_the_cleanup_is_refused_even_when_nobody_looks_first(
    settings: Settings, cleaned: dict[str, Any]
) -> None:
    with pytest.raises(DeltaError, match="Invalid table version"):
        cleaned["old"].commit(cleaned["upload"], {"events/topic-9/0": 1})
    assert rows_of(settings) == cleaned["lander"].landed


def test_all_transactions_are_read_after_the_cleanup_though_an_old_checkpoint_is_named_last(
    settings: Settings, cleaned: dict[str, Any]
) -> None:
    assert {key: value for key, value in open_table(settings).transactions().items() if key != "maintain/events"} == cleaned["wanted"]
    # So a maintainer leaves it that was stopped between a checkpoint and its name, and wakes when the log has gone on.
    store = build_store(settings)
    pointer = json.loads(store.get("lake/events/_delta_log/_last_checkpoint"))
    store.put("lake/events/_delta_log/_last_checkpoint", json.dumps(pointer | {"version": 2}).encode())
    assert {key: value for key, value in open_table(settings).transactions().items() if key != "maintain/events"} == cleaned["wanted"]
    assert rows_of(settings) == cleaned["lander"].landed


def test_the_command_runs_once_and_says_what_it_found(settings: Settings, lander: Lander, run_headwater: RunHeadwater) -> None:
    done = run_headwater("maintain", "--once", "--json", maintain_files_max="4")
    assert done.returncode == 0, done.stderr
    (events,) = [each for each in json.loads(done.stdout) if each["table"] == "events"]
    assert (events["rows_compacted"], events["failure"], events["files"]) == (300, None, 1)
    assert rows_of(settings) == lander.landed


def test_settings_of_maintenance_that_cannot_be_used_say_so(run_headwater: RunHeadwater) -> None:
    done = run_headwater("maintain", "--once", maintain_log_retention_hours="0.5")
    assert done.returncode == 2
    assert "MAINTAIN_LOG_RETENTION_HOURS" in done.stderr


def test_spill_files_have_no_name(settings: Settings, lander: Lander) -> None:
    run(build(settings))
    assert list(Path(settings.home / "spill").iterdir()) == []
