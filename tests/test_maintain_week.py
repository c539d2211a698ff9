"""A week of many small commits: under maintenance what a query opens stays bounded, without it it grows with every commit.

The clock of the week is passed in. delta-rs cleans the log by the store's own clock, in which the week lasts a minute or two,
so that the log's retention is shortened to nothing.
"""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.config import Settings
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.kept_table import KeptTable
from tests.conftest import RunHeadwater
from tests.maintained import SMALL, Lander, build, rows_of, run
from tests.stream import beside

DAYS, COMMITS_A_DAY, ROWS = 7, 150, 2
RULES = dataclasses.replace(SMALL, file_bytes_target=1_000_000, files_max=16, checkpoint_commits=20, log_retention_secs=0)
SUMS = "select count(*) as events, sum(_offset) as offsets, sum(hash(event_id)) as ids, count(distinct arrival_date) as days from staging.events"


def count_opened(settings: Settings) -> dict[str, int]:
    """What a query of the whole table opens: its data files, the folder with most, commits beyond the checkpoint; objects of the log that it lists."""
    table = KeptTable(build_store(settings), load_table("events"))
    table.refresh()
    length, folders = table.log_length(), [file.folder for file in table.files()]
    return {
        "files": len(folders),
        "files in a folder": max(map(folders.count, folders)),
        "log commits": length.commits,
        "log objects": length.objects,
    }


def land_days(settings: Settings, days: int, is_maintained: bool) -> tuple[Lander, list[dict[str, int]]]:
    """What landed, and what a query opened at the end of each day."""
    lander, first = Lander(settings), datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    now = [first.timestamp()]
    maintenance, opened = build(settings, RULES, lambda: now[0]), []
    for number in range(days * COMMITS_A_DAY):
        moment = first + timedelta(days=1) * number / COMMITS_A_DAY
        now[0] = moment.timestamp()
        lander.land(ROWS, moment)
        if is_maintained and number % 30 == 29:
            run(maintenance)
        if number % COMMITS_A_DAY == COMMITS_A_DAY - 1:
            opened.append(count_opened(settings))
    return lander, opened


@pytest.mark.full
@pytest.mark.timeout(900)
def test_after_a_week_of_commits_a_query_opens_no_more_than_after_a_day(settings: Settings, run_headwater: RunHeadwater) -> None:
    lander, opened = land_days(settings, DAYS, is_maintained=True)
    assert rows_of(settings) == lander.landed
    # Small files of two sizes at the most in a folder that grows; one file in each that is over.
    assert max(day["files in a folder"] for day in opened) <= 2 * RULES.files_max + 30
    assert opened[-1]["files"] <= opened[0]["files"] + DAYS - 1
    # Thirty commits between two runs, and those of compaction.
    assert max(day["log commits"] for day in opened) <= RULES.checkpoint_commits + 40
    assert max(day["log objects"] for day in opened) <= 3 * (RULES.checkpoint_commits + 40)
    before = run_headwater("sql", SUMS, "--format", "csv").stdout
    rules = dataclasses.replace(RULES, files_max=2, quiet_secs=0)
    run(build(settings, rules, (datetime.now(UTC) + timedelta(days=30)).timestamp))
    assert count_opened(settings)["files"] == DAYS
    assert run_headwater("sql", SUMS, "--format", "csv").stdout == before
    assert f"{DAYS * COMMITS_A_DAY * ROWS}," in before


@pytest.mark.full
@pytest.mark.timeout(900)
def test_control_without_maintenance_each_commit_is_one_more_file_and_one_more_log_file_to_open(settings: Settings) -> None:
    lander, opened = land_days(beside(settings), 2, is_maintained=False)
    assert rows_of(beside(settings)) == lander.landed
    for number, day in enumerate(opened, 1):
        assert day["files"] == number * COMMITS_A_DAY
        assert day["log commits"] == number * COMMITS_A_DAY + 1
