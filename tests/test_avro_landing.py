"""Avro through Kafka and a worker: a mixed topic lands whole, a registry that is away costs time and no record, dead letters go on."""

import base64
import json
import re
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Settings
from pipeline.stores import build_store
from schemas.tables import FOLDER, load_table
from sinks.lake import LakeTable
from tests.avro_records import STREAM_RECORD, as_framed, as_object
from tests.conftest import RunHeadwater
from tests.faults.rig.fault_worker import FaultWorker
from tests.schema_registry import running_registry
from tests.stream import Record, audit, beside, event, has_landed, landed_ids, lines, metrics, raw_events, rows, send
from tests.validate_inputs import EVENT, FACETS
from tests.worker_process import WorkerProcess, running, wait_until

wait_long = partial(wait_until, secs_max=180)
# What differs between two records of one event.
OF_THE_RECORD = {"event_id", "_partition", "_offset", "_appended_at", "_payload_hash"}


def documents(count: int) -> list[dict[str, Any]]:
    """Events of which no two are alike, every third with facets."""
    times = {"event_timestamp": EVENT["event_timestamp"]}
    return [
        EVENT
        | {
            "client": {"client_id": f"phone-{number}"},
            "metrics": {"price": number / 7},
            "event_timestamp": times["event_timestamp"] + number,
        }
        | ({"facets": FACETS} if number % 3 == 0 else {})
        for number in range(count)
    ]


def key_of(document: dict[str, Any]) -> bytes:
    return f"shop/{document['client']['client_id']}".encode()


def landed_rows(settings: Settings) -> dict[str, dict[str, Any]]:
    """Every column of the rows that landed, by event id."""
    table = LakeTable(build_store(settings), load_table("events"))
    table.refresh()
    return {row["event_id"]: row for row in table.dataset().to_table().to_pylist()}


def dead_letters(settings: Settings) -> list[tuple[str, bytes | None, str]]:
    return [(reason, value, error) for reason, value, error in rows(settings, "dead_letters", ["reason", "value", "error"])]


@pytest.mark.timeout(600)
def test_topic_of_json_and_avro_lands_whole_and_the_same_event_alike(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    with running_registry(login="us:hunter2") as registry:
        registry.register(7, STREAM_RECORD)
        records: list[Record] = []
        for number, document in enumerate(documents(100)):
            named = [document | {"event_id": f"{kind}-{number}"} for kind in ("json", "object", "framed")]
            values = [json.dumps(named[0]).encode(), as_object(named[1]), as_framed(named[2], 7)]
            records += [(key_of(document), value) for value in values]
        unknown, cut = as_framed(EVENT, 8), as_object(EVENT)[:-1]
        records[150:150] = [(b"shop/ep-1", unknown), (b"shop/ep-1", cut), (b"shop/ep-1", b"garbage")]
        send(settings, records)
        login: dict[str, Any] = {"HEADWATER_AVRO_REGISTRY_USERNAME": "us", "HEADWATER_AVRO_REGISTRY_PASSWORD": "hunter2"}
        worker = WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3", HEADWATER_AVRO_REGISTRY=registry.address, **login)
        with running(worker):
            wait_long(lambda: has_landed(settings, len(records)), "all records")
            assert metrics(worker)["headwater_avro_records_total"] == 202
        assert "hunter2" not in worker.log.read_text()
    found = landed_rows(settings)
    assert len(found) == 300
    for number in range(100):
        one, *others = ({name: value for name, value in found[f"{kind}-{number}"].items() if name not in OF_THE_RECORD} for kind in ("json", "object", "framed"))  # fmt: skip
        assert others == [one, one]
    letters = dead_letters(settings)
    assert sorted((reason, value) for reason, value, _ in letters) == [
        ("not_avro", cut),
        ("not_json", b"garbage"),
        ("unknown_schema", unknown),
    ]
    done = run_headwater("audit", "--deep", "--json")
    assert json.loads(done.stdout)["deep"]["is_clean"], done.stdout
    assert audit(settings)["is_clean"]


@pytest.mark.timeout(600)
def test_registry_that_is_away_holds_records_back_and_none_is_lost_while_a_control_that_shrugs_loses_them(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    with running_registry() as registry:
        registry.register(7, STREAM_RECORD)
        port, address = registry.server_port, registry.address
    rig: dict[str, Any] = {"HEADWATER_FLUSH_SECS_MAX": "0.3", "HEADWATER_AVRO_REGISTRY": address}
    worker = WorkerProcess(settings, tmp_path, **rig)
    control = FaultWorker(beside(settings), tmp_path, 1, guards_off="registry_wait", **rig)
    documents_sent = [document | {"event_id": f"id-{number}"} for number, document in enumerate(documents(60))]
    records = [
        (key_of(document), as_framed(document, 7) if number % 2 else json.dumps(document).encode())
        for number, document in enumerate(documents_sent)
    ]
    send(settings, records)
    with running(worker, control):
        wait_long(lambda: bool(lines(worker.log, "WARNING", "Waiting", "schema registry", str(port))), "the worker says what it waits for")
        wait_long(lambda: metrics(worker)["headwater_flush_failures_total"] >= 2, "the flush is tried again")
        wait_long(lambda: has_landed(control.settings, 60), "the control's records")
        assert dead_letters(settings) == []
        with running_registry(port) as registry:
            # It is back, and ill; then it is well.
            registry.ill = "error"
            registry.register(7, STREAM_RECORD)
            wait_long(lambda: bool(lines(worker.log, "Waiting", "answered 500")), "the worker asks the one that is ill")
            registry.ill = None
            wait_long(lambda: has_landed(settings, 60), "what waited")
        # The schema is known by now, whether the registry is there or not.
        send(settings, [(b"shop/late", as_framed(EVENT | {"event_id": "late"}, 7))])
        wait_long(lambda: has_landed(settings, 61), "a record whose schema is known")
        assert worker.stop() == 0
    assert landed_ids(settings) == Counter(["late", *(document["event_id"] for document in documents_sent)])
    assert dead_letters(settings) == []
    assert audit(settings)["is_clean"]
    lost = Counter(reason for reason, *_ in dead_letters(control.settings))
    assert set(lost) == {"unknown_schema"}
    assert lost["unknown_schema"] >= 30


@pytest.mark.timeout(600)
def test_avro_dead_letters_are_shown_traced_replayed_as_they_came_and_mended_as_json(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    older = {**STREAM_RECORD, "fields": [field for field in STREAM_RECORD["fields"] if field["name"] != "headwater"]}
    folder = tmp_path / "avro"
    folder.mkdir()
    (folder / "older.avsc").write_text(json.dumps(older))
    with_folder: dict[str, Any] = {"HEADWATER_AVRO_SCHEMAS": str(folder)}
    by_older = as_object({name: value for name, value in EVENT.items() if name != "headwater"} | {"event_id": "older-event-1"}, older)
    wrong = as_object(EVENT | {"event_id": "wrong-event-1", "event_type": ""})
    topic = raw_events(settings)
    send(settings, [(b"shop/ep-1", by_older), (b"shop/ep-1", wrong), event("fine")], partition=0)
    with running(WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3")):
        wait_long(lambda: has_landed(settings, 3), "the records")
    assert [(reason, value) for reason, value, _ in dead_letters(settings)] == [("missing_field", wrong), ("unknown_schema", by_older)]

    shown = json.loads(run_headwater("dead-letters", "show", f"{topic}/0/1", "--json").stdout)
    assert base64.b64decode(shown["value"]) == wrong
    assert json.loads(shown["value_as_json"])["event_id"] == "wrong-event-1"
    assert "is not known" in run_headwater("dead-letters", "show", f"{topic}/0/0").stdout
    # By its id in the bytes, of a value that cannot be read.
    assert run_headwater("trace", "older-event-1").returncode == 3
    assert run_headwater("trace", "wrong-event-1").returncode == 3

    # Not yet landed: found by what the value says.
    send(settings, [(b"shop/ep-1", as_object(EVENT | {"event_id": "waiting-event-1"}))], partition=0)
    traced = run_headwater("trace", "waiting-event-1", "--json")
    (waiting,) = json.loads(traced.stdout)["waiting"]
    assert (traced.returncode, waiting["is_readable"], waiting["app_id"]) == (5, True, "shop")

    # With the schema at hand what came is sent again as it came; without it, it is known to be a dead letter again.
    again = json.loads(run_headwater("dead-letters", "replay", "--reason", "unknown_schema", "--json").stdout)
    assert again["dead_again"] == {"unknown_schema": 1}
    overrides = {name.removeprefix("HEADWATER_").lower(): value for name, value in with_folder.items()}
    done = run_headwater("dead-letters", "replay", "--reason", "unknown_schema", "--send", **overrides)
    assert done.returncode == 0, done.stderr
    fix = """replace(value, '"event_type":""', '"event_type":"mended"')"""
    done = run_headwater("dead-letters", "replay", "--reason", "missing_field", "--fix-sql", fix, "--send", **overrides)
    assert done.returncode == 0, done.stderr
    with running(WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3", **with_folder)):
        wait_long(lambda: has_landed(settings, 6), "what was replayed")
    assert landed_ids(settings) == Counter(["fine", "waiting-event-1", "older-event-1", "wrong-event-1"])
    assert landed_rows(settings)["wrong-event-1"]["event_type"] == "mended"
    assert len(dead_letters(settings)) == 2
    assert audit(settings)["is_clean"]


def test_worker_does_not_start_with_a_folder_that_holds_something_else(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "broken.avsc").write_text("{")
    worker = WorkerProcess(settings, tmp_path, HEADWATER_AVRO_SCHEMAS=str(tmp_path)).start()
    wait_until(lambda: not worker.is_running, "the worker ends")
    assert lines(worker.log, "AVRO_SCHEMAS", "broken.avsc")


def test_producer_of_the_page_works_as_written(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    (block,) = re.findall(r"<!-- try: avro -->\n```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    for written, meant in (("127.0.0.1:9092", settings.kafka_servers), ('"raw-events"', f'"{raw_events(settings)}"')):
        assert block.count(written) == 1
        block = block.replace(written, meant)
    subprocess.run([sys.executable, "-W", "error", "-c", block], cwd=FOLDER.parent, check=True, timeout=60)
    with running(WorkerProcess(settings, tmp_path)):
        wait_long(lambda: has_landed(settings, 1), "the event")
    (row,) = landed_rows(settings).values()
    assert (row["event_type"], dict(row["attributes"]), row["extra"]) == ("song.played", {"song": "So What"}, None)
