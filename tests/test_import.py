"""Import through real Kafka: each file once for ever, whatever ends it in the middle, and two equal rows stay two events."""

import datetime as dt
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
import pytest
import s3fs
from deltalake import CommitProperties

from agents.dedup.window import KeyWindow, MemoryBudget
from agents.deduplicate import DedupRules, deduplicate_batch
from agents.validate import ValidateRules, validate_batch
from pipeline.config import Settings
from pipeline.imports.event_files import ImportOptions
from pipeline.imports.ledger import Ledger
from pipeline.imports.outcome import Outcome, Status
from pipeline.imports.read import batches
from pipeline.imports.rows import Row
from pipeline.imports.run import import_addresses
from pipeline.stack.programs import environment
from pipeline.stores import build_store
from schemas.errors import UnavailableError, UsageError
from schemas.records import RECORDS
from schemas.tables import FOLDER, load_table
from sinks.imports import FinishedImport, Imports
from sinks.lake import CommitRefusedError, LakeTable
from tests.archives import Json, read_raw_events, stream_record, write_lines
from tests.conftest import RunHeadwater
from tests.tcp_proxy import TcpProxy
from tests.test_import_formats import write_parquet

NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
pytestmark = pytest.mark.usefixtures("topics")


def import_file(settings: Settings, path: Path | str, now: dt.datetime = NOW, **options: Any) -> Outcome:
    (outcome,) = import_addresses(settings, [str(path)], ImportOptions(**options), lambda: now)
    return outcome


def ids(settings: Settings) -> Counter[str]:
    return Counter(value["event_id"] for _, value in read_raw_events(settings))


def test_every_format_arrives_in_kafka(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    records = [stream_record(number) for number in range(3)]
    write_lines(folder / "a.ndjson", records)
    write_parquet(folder / "b.parquet", records)
    with (folder / "c.avro").open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(json.loads((FOLDER / "stream_record.avsc").read_text())), records)
    outcomes = import_addresses(settings, [str(folder)], ImportOptions())
    assert [(outcome.status, outcome.rows, outcome.sent, outcome.acknowledged) for outcome in outcomes] == [(Status.IMPORTED, 3, 3, 3)] * 3
    found = read_raw_events(settings)
    assert Counter(value["headwater"]["source"] for _, value in found) == {
        f"import:{name}": 3 for name in ("a.ndjson", "b.parquet", "c.avro")
    }
    assert {key for key, _ in found} == {f"shop/endpoint-{number}" for number in range(3)}
    assert len(ids(settings)) == 9


def test_the_command_imports_from_s3_and_reports(settings: Settings, run_headwater: RunHeadwater) -> None:
    filesystem = s3fs.S3FileSystem(**build_store(settings).s3fs_options(), skip_instance_cache=True)
    for name in ("2026/11/23/10/stream-1", "2026/11/23/11/stream-2"):
        lines = "".join(json.dumps(stream_record(number, event_id=f"{name}/{number}")) for number in range(4))
        filesystem.pipe(f"{settings.s3_bucket}/archive/{name}", lines.encode())
    address = f"s3://{settings.s3_bucket}/archive"
    done = run_headwater("import", address, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [(file["file"], file["status"], file["sent"]) for file in report["files"]] == [
        (f"{address}/2026/11/23/10/stream-1", "imported", 4),
        (f"{address}/2026/11/23/11/stream-2", "imported", 4),
    ]
    assert report["totals"]["acknowledged"] == 8
    again = run_headwater("import", address)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("skipped") == 2
    assert len(read_raw_events(settings)) == 8
    missing = run_headwater("import", f"s3://{settings.s3_bucket}/nowhere")
    assert missing.returncode == 2
    assert "is not there; expected a file, a folder or an s3:// address" in missing.stderr


def test_a_file_is_imported_once_for_ever_not_only_within_the_dedup_window(settings: Settings, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.ndjson", [stream_record(number) for number in range(20)])
    first = import_file(settings, path)
    again = import_file(settings, path.rename(tmp_path / "another name.ndjson"), NOW + 30 * DAY)
    assert (first.status, again.status, again.sent) == (Status.IMPORTED, Status.SKIPPED, 0)
    assert "imported on 2026-11-23 10:00 UTC" in again.message
    assert len(read_raw_events(settings)) == 20

    # The control: a lake without the table's row sends it again, and 30 days later no dedup window knows the ids.
    # The records carry the file's name: under the same one they are the same records.
    path = (tmp_path / "another name.ndjson").rename(path)
    control = import_file(settings.model_copy(update={"s3_bucket": another_bucket(settings)}), path, NOW + 30 * DAY)
    assert control.sent == 20
    assert len(read_raw_events(settings)) == 40
    values = sorted({json.dumps(value).encode() for _, value in read_raw_events(settings)})
    assert landed(values * 2, [NOW] * 20 + [NOW + 6 * DAY] * 20, tmp_path) == 20
    assert landed(values * 2, [NOW] * 20 + [NOW + 30 * DAY] * 20, tmp_path) == 40


def another_bucket(settings: Settings) -> str:
    store = build_store(settings)
    store.client().create_bucket(Bucket=f"{settings.s3_bucket}-2")
    return f"{settings.s3_bucket}-2"


def landed(values: list[bytes], appended_at: list[dt.datetime], tmp_path: Path) -> int:
    """How many of these records land, appended to one partition at these times, under a dedup window of 7 days."""
    columns: Json = {
        "value": values,
        "value_bytes": [len(value) for value in values],
        "key": values,
        "origin": [None] * len(values),
        "_topic_id": ["topic"] * len(values),
        "_partition": [0] * len(values),
        "_offset": range(len(values)),
        "_appended_at": appended_at,
        "_payload_hash": range(len(values)),
    }
    records = pa.table([pa.array(columns[field.name], field.type) for field in RECORDS], schema=RECORDS)
    with duckdb.connect() as con:
        parsed = validate_batch(records, ValidateRules(message_bytes_max=1_000_000)).parsed
        windows = {0: KeyWindow(tmp_path / "dedup", MemoryBudget(1 << 26))}
        rules = DedupRules(window_secs=7 * 86400, keeps_bytes=True)
        return len(deduplicate_batch(con, parsed, records, windows, rules).first)


def test_an_import_killed_in_the_middle_goes_on_where_kafka_had_acknowledged(settings: Settings, tmp_path: Path) -> None:
    rows = 100_000
    path = write_lines(tmp_path / "x.ndjson", [stream_record(number) for number in range(rows)])
    killed_at = kill_in_the_middle(settings, path)
    assert 0 < killed_at < rows
    second = import_file(settings, path, dt.datetime.now(dt.UTC))
    assert (second.status, second.rows, second.acknowledged) == (Status.IMPORTED, rows, rows)
    assert second.message == ""
    assert second.sent == rows - killed_at
    found = ids(settings)
    # Nothing is lost; what was sent twice carries the same id, so the dedup window knows it.
    assert found.keys() == {f"{second.content_hash}/{number}" for number in range(1, rows + 1)}
    assert set(found.values()) <= {1, 2}
    assert import_file(settings, path).status == Status.SKIPPED
    assert not list((settings.home / "imports").iterdir())


def kill_in_the_middle(settings: Settings, path: Path) -> int:
    """Start an import, kill it once its ledger holds acknowledged rows, and return how many."""
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "import", str(path), "--json"], env=environment(settings), stdout=subprocess.PIPE
    ) as process:
        through = 0
        while process.poll() is None and not through:
            ledgers = list((settings.home / "imports").glob("*.json"))
            through = json.loads(ledgers[0].read_text())["acknowledged_through"] if ledgers else 0
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    (ledger,) = (settings.home / "imports").glob("*.json")
    found: int = json.loads(ledger.read_text())["acknowledged_through"]
    return found


def test_an_import_does_not_go_on_in_another_way_than_it_began(settings: Settings, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.ndjson", [stream_record(number) for number in range(100_000)])
    killed_at = kill_in_the_middle(settings, path)
    with pytest.raises(UsageError, match=f"up to row {killed_at} with the identical rows keep, and now it is one"):
        import_file(settings, path, identical_rows="one")
    # The control: without the ledger nothing is known of the first try, and all of it is sent.
    (ledger,) = (settings.home / "imports").glob("*.json")
    ledger.unlink()
    assert import_file(settings, path, identical_rows="one").sent == 100_000


def test_a_cut_off_file_is_imported_as_far_as_it_goes_and_its_whole_copy_goes_on_from_there(settings: Settings, tmp_path: Path) -> None:
    whole = write_lines(tmp_path / "whole.ndjson", [stream_record(number) for number in range(50)])
    cut = tmp_path / "cut.ndjson"
    cut.write_bytes(whole.read_bytes()[:-30])
    first = import_file(settings, cut)
    assert (first.status, first.rows, first.acknowledged, first.is_well) == (Status.BROKEN, 49, 49, False)
    assert "line 50 does not end" in first.message
    assert import_file(settings, cut).status == Status.BROKEN
    second = import_file(settings, whole, NOW + 8 * DAY)
    assert "goes on after 8 days, longer than the dedup window: of the rows after 49" in second.message
    assert (second.status, second.rows, second.sent, second.acknowledged) == (Status.IMPORTED, 50, 1, 50)
    assert ids(settings) == {f"{first.content_hash}/{number}": 1 for number in range(1, 51)}
    assert not list((settings.home / "imports").glob("*.json"))


@pytest.mark.parametrize(("policy", "sent"), [("keep", 3), ("one", 2)])
def test_identical_rows_become_events_or_are_left_out(policy: str, sent: int, settings: Settings, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.ndjson", [stream_record(0), stream_record(1), stream_record(0)])
    outcome = import_file(settings, path, identical_rows=policy)
    assert (outcome.identical, outcome.sent, outcome.acknowledged, outcome.left_out) == (1, sent, sent, 3 - sent)
    assert len(ids(settings)) == sent
    found = Imports(build_store(settings)).find(outcome.content_hash)
    assert found is not None
    assert (found.rows, found.acknowledged, found.identical, found.identical_policy) == (3, sent, 1, policy)


def test_bad_rows_do_not_stop_the_file_and_end_with_status_1(settings: Settings, tmp_path: Path, run_headwater: RunHeadwater) -> None:
    path = tmp_path / "x.ndjson"
    path.write_text(json.dumps(stream_record(0)) + "\n{bad}\n" + json.dumps(stream_record(2)) + "\n")
    done = run_headwater("import", str(path))
    assert done.returncode == 1
    assert "rejected: 1 x expected JSON" in done.stdout
    assert len(read_raw_events(settings)) == 2
    assert run_headwater("import", str(path)).returncode == 0  # Finished all the same: it is skipped now.


def test_an_empty_file_is_nothing_to_remember(settings: Settings, tmp_path: Path) -> None:
    for name in ("a.ndjson", "b.ndjson"):
        outcome = import_file(settings, write_lines(tmp_path / name, []))
        assert (outcome.status, outcome.rows) == (Status.IMPORTED, 0)


def test_two_imports_of_the_same_content_at_once_send_it_once(settings: Settings, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.ndjson", [stream_record(number) for number in range(10)])
    content_hash = import_file(settings, path, is_dry_run=True).content_hash
    with Ledger(settings.home / "imports", content_hash):
        second = import_file(settings, path)
    assert (second.status, second.sent) == (Status.FAILED, 0)
    assert "is being imported by process" in second.message
    assert import_file(settings, path).status == Status.IMPORTED


def test_a_file_that_grows_while_it_is_imported_is_not_finished(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "x.ndjson", [stream_record(number) for number in range(10)])

    def grow(rows: Iterable[Row]) -> Iterator[list[Row]]:
        with path.open("ab") as file:
            file.write(b"\n")
        return batches(rows)

    monkeypatch.setattr("pipeline.imports.run.batches", grow)
    outcome = import_file(settings, path)
    assert outcome.status == Status.BROKEN
    assert "was written to while it was imported" in outcome.message


def test_without_kafka_or_the_lake_nothing_is_sent_and_the_error_says_which(settings: Settings, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.ndjson", [stream_record(0)])
    with pytest.raises(UnavailableError, match="Kafka at"):
        import_file(settings.model_copy(update={"kafka": "127.0.0.1:9"}), path)
    with pytest.raises(UnavailableError, match=r"lake/imports' cannot be read"):
        import_file(settings.model_copy(update={"s3_bucket": "no-such-bucket"}), path)
    assert read_raw_events(settings) == []


def test_rows_of_the_table_are_written_once_by_however_many(settings: Settings) -> None:
    row = FinishedImport("hash", "x.ndjson", None, "shop", 3, 2, 1, 0, "keep", NOW)
    tables = [Imports(build_store(settings)) for _ in range(4)]
    others = [replace(row, content_hash=f"hash-{number}") for number in range(4)]
    assert tables[0].find("hash") is None
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda number: tables[number].record([row, others[number]]), range(4)))
    # A reply that was lost: the same call again.
    tables[0].record([row, others[0]])
    assert tables[1].find("hash") == row
    assert [tables[2].find(other.content_hash) for other in others] == others
    assert recorded(settings) == {name: 1 for name in ("hash", *(other.content_hash for other in others))}


@pytest.mark.parametrize("is_guarded", [True, False])
def test_of_two_that_looked_at_the_same_moment_only_one_writes_the_row(
    is_guarded: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = FinishedImport("hash", "x.ndjson", None, "shop", 3, 2, 1, 0, "keep", NOW)
    first, second = Imports(build_store(settings)), Imports(build_store(settings))
    for imports in (first, second):
        assert imports.find("hash") is None
    if not is_guarded:
        monkeypatch.setattr("sinks.lake.CommitProperties", lambda **_: CommitProperties())
    first._append([row])
    with pytest.raises(CommitRefusedError) if is_guarded else nullcontext():
        second._append([row])
    assert recorded(settings) == {"hash": 1 if is_guarded else 2}


class ReplyLosingProxy(TcpProxy):
    """Breaks the connection in place of each of the next `losses` answers to a commit: the store has acted on it by then."""

    losses = 0

    def __init__(self, target: int) -> None:
        self._committing: set[socket.socket] = set()
        super().__init__(target)

    def _forward(self, body: bytes, source: socket.socket, sink: socket.socket) -> None:
        if body.startswith(b"PUT ") and b"/_delta_log/" in body.partition(b"\r\n")[0]:
            self._committing.add(sink)
        elif source in self._committing:
            self._committing.discard(source)
            if self.losses:
                self.losses -= 1
                raise ConnectionAbortedError
        sink.sendall(body)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while body := source.recv(65536):
                self._forward(body, source, sink)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("losses", "is_guarded", "rows"),
    [(1, True, 1), (3, True, 1), (3, False, 2)],
    ids=["delta-rs asks again", "nobody knows", "control: no transaction"],
)
def test_a_commit_whose_reply_is_lost_writes_its_row_once(
    losses: int, is_guarded: bool, rows: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = FinishedImport("hash", "x.ndjson", None, None, 3, 2, 1, 0, "keep", NOW)
    assert Imports(build_store(settings)).find("hash") is None
    proxy = ReplyLosingProxy(settings.s3_port)
    try:
        store = build_store(settings)
        store.endpoint = f"http://127.0.0.1:{proxy.port}"
        imports = Imports(store)
        # delta-rs asks whether a table exists without letting go of Python's lock: a proxy in this process could not answer.
        imports._is_ensured = True
        assert imports.find("hash") is None
        if not is_guarded:
            monkeypatch.setattr("sinks.lake.CommitProperties", lambda **_: CommitProperties())
        proxy.losses = losses
        imports.record([row])
        # delta-rs asks three times in all: after three losses it does not know either.
        assert proxy.losses == 0
    finally:
        proxy.cut()
    assert recorded(settings) == {"hash": rows}


def recorded(settings: Settings) -> Counter[str]:
    """How many rows the table has of each content."""
    table = LakeTable(build_store(settings), load_table("imports"))
    return Counter(table.dataset().to_table()["content_hash"].to_pylist())
