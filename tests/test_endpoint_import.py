"""Import of endpoints through real Kafka: each row once, whatever ends it in the middle, and each file once for ever and app."""

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Settings
from pipeline.endpoints.files.imports import EndpointImportOptions, import_endpoints
from pipeline.endpoints.files.kind import EndpointFiles
from pipeline.imports.ledger import Ledger
from pipeline.imports.outcome import Outcome, Status
from pipeline.stack.programs import environment
from pipeline.stores import build_store
from sinks.imports import Imports
from tests.api_process import make_app
from tests.archives import read_raw_events, stream_record, write_lines
from tests.conftest import RunHeadwater
from tests.endpoint_imports import sent_ids, sent_updates, write, write_csv
from tests.stream import rows
from tests.test_endpoint_landing import land, landed_updates

pytestmark = pytest.mark.usefixtures("topics")
ROWS = 60_000
# So many that ten runs do not come to their end, however fast the machine.
KILLED_ROWS = 200_000
# When each kill comes is chosen anew in every run; IMPORT_SEED repeats one.
SEED = int(os.environ.get("IMPORT_SEED") or random.SystemRandom().randrange(2**32))


@pytest.fixture(autouse=True)
def shop(settings: Settings) -> None:
    """The apps that the command imports into."""
    make_app(settings)
    make_app(settings, "other")


def import_file(settings: Settings, path: Path | str, app_id: str = "shop", **options: Any) -> Outcome:
    (outcome,) = import_endpoints(settings, [str(path)], EndpointImportOptions(app_id, **options))
    return outcome


def folder_of(settings: Settings) -> Path:
    return settings.home / "imports" / "endpoints" / "shop"


def test_an_app_that_is_not_there_is_refused(settings: Settings, tmp_path: Path, run_headwater: RunHeadwater) -> None:
    path = write_csv(tmp_path / "x.csv", 1)
    done = run_headwater("import", "endpoints", str(path), "--app", "typo")
    assert (done.returncode, "There is no app 'typo'" in done.stderr) == (2, True)
    done = run_headwater("export", "endpoints", "--app", "typo", "--to", str(tmp_path / "out"))
    assert (done.returncode, "There is no app 'typo'" in done.stderr) == (2, True)
    assert sent_updates(settings) == []


def test_an_empty_file_is_refused_and_the_next_one_goes_on(settings: Settings, tmp_path: Path) -> None:
    empty = import_file(settings, write(tmp_path / "empty.json", ""))
    assert (empty.status, "is empty" in empty.message) == (Status.FAILED, True)
    after = import_file(settings, write(tmp_path / "x.json", '{"Id":"one"}\n'))
    assert (after.status, after.acknowledged) == (Status.IMPORTED, 1)


def test_the_command_imports_reports_and_remembers(settings: Settings, tmp_path: Path, run_headwater: RunHeadwater) -> None:
    path = write(tmp_path / "x.csv", "Id,Address,EffectiveDate\none,a,\ntwo,b,never\nthree,c,2026-01-01\n")
    done = run_headwater("import", "endpoints", str(path), "--app", "shop", "--json")
    assert done.returncode == 1, done.stderr
    (file,) = json.loads(done.stdout)["files"]
    assert [file[name] for name in ("status", "rows", "sent", "acknowledged", "rejected")] == ["imported", 3, 2, 2, 1]
    (rejected,) = Path(file["rejected_file"]).read_text().splitlines()
    assert json.loads(rejected) == {
        "row": 2,
        "line": 3,
        "field": "EffectiveDate",
        "value": '"never"',
        "reason": "expected a moment in ISO 8601, for example 2026-01-01T00:00:00.000Z",
    }
    again = run_headwater("import", "endpoints", str(path), "--app", "shop")
    assert again.returncode == 0, again.stderr
    assert "as '" in again.stdout
    assert "--again imports it once more" in " ".join(again.stdout.split())
    assert Counter(update["endpoint_id"] for update in sent_updates(settings)) == {"one": 1, "three": 1}
    # Another app has not had it yet; and whoever says so gets it anew, under other ids.
    for options in (["--app", "other"], ["--app", "shop", "--again"]):
        assert run_headwater("import", "endpoints", str(path), *options).returncode == 1
    assert Counter((update["app_id"], update["endpoint_id"]) for update in sent_updates(settings)) == {
        ("shop", "one"): 2,
        ("shop", "three"): 2,
        ("other", "one"): 1,
        ("other", "three"): 1,
    }
    assert Counter(len({u["update_id"] for u in sent_updates(settings) if u["app_id"] == app}) for app in ("shop", "other")) == {4: 1, 2: 1}


def test_events_are_imported_as_before_and_by_their_name(settings: Settings, tmp_path: Path, run_headwater: RunHeadwater) -> None:
    for number, arguments in enumerate((["import"], ["import", "events"])):
        path = write_lines(tmp_path / f"{number}.ndjson", [stream_record(number)])
        done = run_headwater(*arguments, str(path))
        assert done.returncode == 0, done.stderr
    assert len(read_raw_events(settings)) == 2
    assert run_headwater("import").returncode == 2
    assert "endpoints" in run_headwater("import", "--help").stdout


def test_a_dry_run_sends_nothing_and_says_what_it_would(settings: Settings, tmp_path: Path) -> None:
    outcome = import_file(settings, write_csv(tmp_path / "x.csv", 10), is_dry_run=True)
    assert (outcome.status, outcome.rows, outcome.sent) == (Status.CHECKED, 10, 0)
    assert sent_updates(settings) == []


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.full)])
def test_an_import_that_is_killed_again_and_again_sends_every_row_once(settings: Settings, tmp_path: Path, kills: int) -> None:
    path = write_csv(tmp_path / "x.csv", KILLED_ROWS)
    print(f"IMPORT_SEED={SEED}")
    chance = random.Random(SEED)
    throughs = [0]
    for _ in range(kills):
        throughs.append(kill_after(settings, path, chance.uniform(0.0, 0.15)))
    assert throughs == sorted(throughs)
    assert 0 < throughs[-1] < KILLED_ROWS
    last = import_file(settings, path)
    assert (last.status, last.rows, last.acknowledged) == (Status.IMPORTED, KILLED_ROWS, KILLED_ROWS)
    # The ledger: the rows that Kafka had acknowledged are not sent again.
    assert last.sent == KILLED_ROWS - throughs[-1]
    found = sent_ids(settings)
    # The ids: what was on its way when the process was killed is sent again under the same id, so each row lands once.
    assert found.keys() == {f"{last.content_hash}/{number}" for number in range(1, KILLED_ROWS + 1)}
    # Of what the topic has twice there is less than one file more; without the ledger each of the runs would have begun anew.
    assert sum(found.values()) < 2 * KILLED_ROWS
    assert import_file(settings, path).status is Status.SKIPPED
    # In the lake each row stands exactly once, and what came twice is a dead letter.
    land(settings, tmp_path, sum(found.values()))
    assert landed_updates(settings) == dict.fromkeys(found, 1)
    assert len(rows(settings, "dead_letters", ["reason"])) == sum(found.values()) - KILLED_ROWS


@pytest.mark.full
def test_without_the_ledger_all_is_sent_again_and_without_its_ids_it_would_land_twice(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(tmp_path / "x.csv", ROWS)
    through = kill_after(settings, path, 0.0)
    before = sum(sent_ids(settings).values())
    assert before >= through > 0
    for ledger in folder_of(settings).glob("*.json"):
        ledger.unlink()
    # The control of the ledger: without it the acknowledged rows go out a second time. Their ids hold: each is there under one id.
    second = import_file(settings, path)
    assert second.sent == ROWS
    found = sent_ids(settings)
    assert sum(found.values()) == before + ROWS
    assert len(found) == ROWS
    # The control of dedup: without it what went out twice lands twice.
    land(settings, tmp_path, before + ROWS, HEADWATER_DEDUP_ENABLED="false")
    assert landed_updates(settings) == found
    # The control of the ids: with new ones at each run the same rows are other updates, which no dedup window tells from new ones.
    monkeypatch.setattr(EndpointFiles, "new_id_base", lambda self, content_hash: f"{content_hash}.{time.monotonic_ns()}")
    monkeypatch.setattr(EndpointFiles, "key", lambda self, content_hash, id_base: id_base)
    import_file(settings, path)
    assert len(sent_ids(settings)) == 2 * ROWS


def kill_after(settings: Settings, path: Path, secs: float) -> int:
    """Start an import, kill it `secs` after it is further than before, and return how many rows its ledger has."""
    before = through_of(settings)
    command = [sys.executable, "-m", "pipeline.cli", "import", "endpoints", str(path), "--app", "shop", "--json"]
    with subprocess.Popen(command, env=environment(settings), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and through_of(settings) == before:
            time.sleep(0.005)
        time.sleep(secs if before else 0)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    return through_of(settings)


def through_of(settings: Settings) -> int:
    ledgers = list(folder_of(settings).glob("*.json"))
    return int(json.loads(ledgers[0].read_text())["acknowledged_through"]) if ledgers else 0


def test_a_cut_off_file_goes_on_in_its_whole_copy(settings: Settings, tmp_path: Path) -> None:
    whole = write_csv(tmp_path / "whole.csv", 50)
    cut = write(tmp_path / "cut.csv", whole.read_bytes()[:-30])
    first = import_file(settings, cut)
    assert (first.status, first.rows, first.acknowledged) == (Status.BROKEN, 49, 49)
    second = import_file(settings, whole)
    assert (second.status, second.sent, second.acknowledged) == (Status.IMPORTED, 1, 50)
    assert sent_ids(settings) == {f"{first.content_hash}/{number}": 1 for number in range(1, 51)}


def test_a_row_that_was_cut_in_a_cell_of_several_lines_is_not_lost_to_its_whole_copy(settings: Settings, tmp_path: Path) -> None:
    text = 'Id,Attributes.a\none,x\ntwo,"y\nz"\nthree,x\n'
    first = import_file(settings, write(tmp_path / "cut.csv", text[: text.index('z"')]))
    assert first.acknowledged == 1
    second = import_file(settings, write(tmp_path / "whole.csv", text))
    assert (second.status, second.rejected) == (Status.IMPORTED, 0)
    assert {update["endpoint_id"] for update in sent_updates(settings)} == {"one", "two", "three"}


def test_the_second_of_two_imports_of_one_file_is_told(settings: Settings, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", 10)
    content_hash = import_file(settings, path, is_dry_run=True).content_hash
    with Ledger(folder_of(settings), content_hash):
        second = import_file(settings, path)
    assert (second.status, second.sent, second.is_busy) == (Status.FAILED, 0, True)
    assert "is being imported by process" in second.message
    assert import_file(settings, path).status is Status.IMPORTED


def test_a_folder_in_s3_gives_its_files_and_the_table_remembers_each(settings: Settings, run_headwater: RunHeadwater) -> None:
    store = build_store(settings)
    store.put("in/a.csv", b"Id\none\n")
    store.put("in/deep/b.json", b'{"Id":"two"}\n')
    store.put("in/readme.txt", b"nothing of ours")
    outcomes = import_endpoints(settings, [f"s3://{settings.s3_bucket}/in"], EndpointImportOptions("shop"))
    assert [str(outcome.status) for outcome in outcomes] == ["imported", "imported", "ignored"]
    found = Imports(store).find(f"{outcomes[0].content_hash}/endpoints/shop")
    assert found is not None
    assert (found.rows, found.app_id, found.finished_at.date()) == (1, "shop", dt.datetime.now(dt.UTC).date())
    missing = run_headwater("import", "endpoints", f"s3://{settings.s3_bucket}/nowhere", "--app", "shop")
    assert (missing.returncode, "is not there" in missing.stderr) == (2, True)
    lake = run_headwater("import", "endpoints", f"s3://{settings.s3_bucket}/lake/imports", "--app", "shop")
    assert (lake.returncode, "the lake's own folder" in lake.stderr) == (2, True)
