"""The third landing stream: updates of endpoints land once each, whichever way they came and whatever dies, beside dead letters and resends."""

import json
import random
import uuid
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.audit import audit_lake, summarize
from pipeline.collect.endpoints import delete_endpoint, delete_user, remove_attributes, update_from_file
from pipeline.collect.outgoing import Sender
from pipeline.config import Settings
from pipeline.deep_audit import audit_deeply, summarize_deeply
from pipeline.stream_status import read_stream_status
from pipeline.topology import ENDPOINT_UPDATES, topic_name
from tests.api_process import ApiProcess, client, make_access_key, make_app, serving
from tests.conftest import RunHeadwater
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.kills import acknowledged, land_under_kills
from tests.faults.rig.load import Load
from tests.stream import Record, beside, events, landed_count, landed_ids, metrics, rows, send
from tests.update_records import ENDPOINT, document, encode, update
from tests.worker_process import WorkerProcess, running, wait_until

# A command or a worker takes its time where other tests run beside it.
wait_long = partial(wait_until, secs_max=180)

pytestmark = pytest.mark.timeout(900)


def updates_topic(settings: Settings) -> str:
    return topic_name(settings, ENDPOINT_UPDATES)


def send_updates(settings: Settings, *records: Record) -> None:
    send(settings, records, topic=updates_topic(settings))


def landed_updates(settings: Settings) -> Counter[str]:
    """How often each update id stands in the table."""
    return Counter(update_id for (update_id,) in rows(settings, "endpoint_updates", ["update_id"]))


def has_rows(settings: Settings, count: int) -> bool:
    return count_rows(settings) == count


def has_rows_at_least(settings: Settings, count: int) -> bool:
    return count_rows(settings) >= count


def count_rows(settings: Settings) -> int:
    return landed_count(settings, "events", "endpoint_updates", "dead_letters")


def land(settings: Settings, folder: Path, count: int, **rig: str) -> None:
    """Run a worker until all tables have so many rows together."""
    with running(WorkerProcess(settings, folder, 0, HEADWATER_FLUSH_SECS_MAX="0.3", **rig)):
        wait_long(lambda: has_rows(settings, count), f"{count} rows")


class UpdateLoad(Load):
    """The same load, of updates of endpoints."""

    def build_record(self, number: int, chance: random.Random) -> tuple[bytes, bytes, str]:
        update_id = str(uuid.UUID(int=chance.getrandbits(128)))
        return *update(update_id, f"Phone-{chance.randrange(500)}", arrival_timestamp=1764000000000 + number), update_id


def land_updates_under_kills(settings: Settings, folder: Path, *steps: str, guards_off: str = "") -> Load:
    """Updates, resends and garbage, and a worker that dies at each of these steps."""
    load = UpdateLoad(settings, folder, random.Random(20261124), per_sec=400, topic=updates_topic(settings))
    land_under_kills(FaultWorker(settings, folder, guards_off=guards_off), load, steps, partial(has_rows_at_least, settings))
    return load


def rows_in_lake(settings: Settings) -> Counter[tuple[int, int, int]]:
    """(partition, offset, payload hash) of every row."""
    columns = ["_partition", "_offset", "_payload_hash"]
    return Counter(row for table in ("endpoint_updates", "dead_letters") for row in rows(settings, table, columns))


def test_a_worker_killed_under_load_loses_no_update_and_doubles_none(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    steps = ("before dead_letters commit", "after dead_letters commit", "after events commit")
    load = land_updates_under_kills(settings, tmp_path, *steps)
    summary = summarize(audit_lake(settings))
    assert summary["is_clean"], summary
    assert summary["consumed"] == load.count
    assert min(summary["landed"], summary["dead"], summary["duplicate"]) > 0
    assert rows_in_lake(settings) == acknowledged(load)
    assert rows(settings) == []


def test_without_the_offset_check_a_kill_doubles_updates_control(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    load = land_updates_under_kills(settings, tmp_path, "before Kafka commit", guards_off="offset_check")
    assert rows_in_lake(settings) != acknowledged(load)
    assert rows_in_lake(settings).total() > load.count


def test_updates_of_every_way_in_land_once_each_beside_events_and_dead_letters(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    make_app(settings)
    key = make_access_key(settings)
    with serving(ApiProcess(settings, tmp_path)) as api:
        pinpoint = client("pinpoint", api, key)
        endpoint = {"Address": "ann@example.com", "ChannelType": "EMAIL", "User": {"UserId": "ann"}}
        event = {"EventType": "cart.add", "Timestamp": "2026-01-01T00:00:00.000Z"}
        batch = {
            "Ann-1": {"Endpoint": endpoint, "Events": {"event-1": event}},
            # What is refused of an endpoint costs its events nothing.
            "Bad-1": {"Endpoint": {"ChannelType": "FAX"}, "Events": {"event-2": event}},
        }
        answer = pinpoint.put_events(ApplicationId="shop", EventsRequest={"BatchItem": batch})["EventsResponse"]["Results"]
        assert answer["Bad-1"]["EndpointItemResponse"]["StatusCode"] == 400
        assert "Field 'ChannelType' is \"FAX\"; expected one of PUSH" in answer["Bad-1"]["EndpointItemResponse"]["Message"]
        assert answer["Bad-1"]["EventsItemResponse"]["event-2"]["StatusCode"] == 202
        pinpoint.update_endpoint(ApplicationId="shop", EndpointId="Ben-1", EndpointRequest={"OptOut": "ALL", "Metrics": {"visits": 3}})
        with pytest.raises(pinpoint.exceptions.BadRequestException, match=r"Field 'Location\.Latitude' is 91"):
            pinpoint.update_endpoint(ApplicationId="shop", EndpointId="Ben-1", EndpointRequest={"Location": {"Latitude": 91.0}})
    sender = Sender(1767225601000, "test", client_ip="192.0.2.7")
    made = [
        delete_endpoint("shop", "Ben-1", sender),
        delete_user("shop", "ann", sender),
        remove_attributes("shop", "endpoint-custom-attributes", ["a*"], sender),
        update_from_file("shop", "Cleo-1", encode(ENDPOINT), "file-1/row-1", sender),
    ]
    send_updates(settings, *[(one.key, one.value) for one in made], (b"k", b"garbage"), (b"k", encode(document("no-app", app_id=None))))
    land(settings, tmp_path, 2 + 6 + 2 + 2)

    columns = ["operation", "endpoint_id", "user_id", "address", "opt_out", "source", "client_ip"]
    found = rows(settings, "endpoint_updates", columns)
    assert Counter(row[:5] for row in found) == Counter(
        [
            ("update", "Ann-1", "ann", "ann@example.com", None),
            ("update", "Ben-1", None, None, "ALL"),
            ("update", "Cleo-1", "User-1", "bob@example.com", "NONE"),
            ("delete", "Ben-1", None, None, None),
            ("delete_user", None, "ann", None, None),
            ("remove_attributes", None, None, None, None),
        ]
    )
    assert {row[5:] for row in found if row[1] in {"Ann-1", "Cleo-1"}} == {("api", "127.0.0.0"), ("test", "192.0.2.0")}
    assert landed_ids(settings) == Counter(["event-1", "event-2"])
    reasons = Counter(rows(settings, "dead_letters", ["reason", "topic"]))
    rejected = topic_name(settings, ENDPOINT_UPDATES).replace("endpoint-updates", "rejected-events")
    assert reasons == {("not_json", updates_topic(settings)): 1, ("missing_field", updates_topic(settings)): 1, ("wrong_type", rejected): 2}
    _is_told_everywhere(settings, run_headwater)


def _is_told_everywhere(settings: Settings, run_headwater: RunHeadwater) -> None:
    """The audits, the status, the checks and the views know the stream."""
    summary = summarize(audit_lake(settings))
    assert summary["is_clean"], summary
    assert {name: summary[name] for name in ("consumed", "landed", "dead")} == {"consumed": 12, "landed": 8, "dead": 4}
    of_updates = [one for one in summary["partitions"] if one["topic"] == updates_topic(settings)]
    assert {one["table"] for one in of_updates} == {"endpoint_updates"}
    assert (sum(one["landed"] for one in of_updates), sum(one["dead"] for one in of_updates)) == (6, 2)
    # No dead letter of one table's partitions is a stranger's to another table.
    assert all(one["topic"] for one in summary["partitions"])
    deep = summarize_deeply(audit_deeply(settings))
    assert (deep["compared"], deep["equal"], deep["is_clean"]) == (12, 12, True)
    (status,) = [one for one in read_stream_status(settings)["topics"] if one["topic"] == updates_topic(settings)]
    assert (status["table"], status["lag"]) == ("endpoint_updates", 0)
    assert run_headwater("check").returncode == 0
    shown = run_headwater("sql", "select count(*) as n from staging.endpoint_updates", "--json")
    assert json.loads(shown.stdout) == [{"n": 6}]


def test_a_resent_update_is_a_duplicate_and_without_deduplication_lands_again(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    other = beside(settings)
    sent = [
        update("update-1"),
        update("update-1", "PHONE-1", endpoint={"OptOut": "ALL"}),
        update("update-1", "Phone-2"),
        update("update-2"),
    ]
    send_updates(settings, *sent)
    for name, one, rig in (("on", settings, {}), ("off", other, {"HEADWATER_DEDUP_ENABLED": "false"})):
        (tmp_path / name).mkdir()
        land(one, tmp_path / name, 4, **rig)
    assert landed_updates(settings) == {"update-1": 2, "update-2": 1}
    assert rows(settings, "dead_letters", ["reason", "event_id", "endpoint_id"]) == [("duplicate", "update-1", "PHONE-1")]
    assert landed_updates(other) == {"update-1": 3, "update-2": 1}
    # A worker that starts anew reads its window from the table.
    send_updates(settings, update("update-2"))
    worker = WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3")
    with running(worker):
        wait_long(lambda: has_rows(settings, 5), "the resent update")
        wait_long(lambda: metrics(worker)["headwater_events_duplicate_total"] == 1, "the metric of duplicates")
    assert landed_updates(settings) == {"update-1": 2, "update-2": 1}
    assert summarize(audit_lake(settings))["is_clean"]


def trace(run_headwater: RunHeadwater, update_id: str) -> tuple[int, dict[str, Any]]:
    done = run_headwater("trace", update_id, "--json")
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_trace_says_of_each_update_what_became_of_it(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    send_updates(
        settings, update("landed"), update("landed", "PHONE-1"), update("broken", endpoint=7), (b"k", encode(document(None, "Phone-1")))
    )
    send(settings, events(1, "an-event"))
    land(settings, tmp_path, 5)
    send_updates(settings, update("waiting"))

    status, found = trace(run_headwater, "landed")
    assert (status, found["answers"]) == (0, ["landed", "duplicate"])
    ((row,), (duplicate,)) = found["updates"], found["dead_letters"]
    assert (row["operation"], row["endpoint_id"], row["topic"]) == ("update", "Phone-1", updates_topic(settings))
    assert "staging.endpoint_updates" in row["views"]
    assert duplicate["duplicate_of"] == f"{row['topic']}/{row['_partition']}/{row['_offset']}"
    status, found = trace(run_headwater, "broken")
    assert (status, found["answers"], found["dead_letters"][0]["reason"]) == (3, ["dead letter"], "wrong_type")
    status, found = trace(run_headwater, "waiting")
    assert (status, found["answers"], found["waiting"][0]["event_type"]) == (5, ["waiting"], "update")
    assert trace(run_headwater, "nobody")[0] == 6
    assert trace(run_headwater, "an-event-0")[1]["updates"] == []
    # One that was sent without an id has that of its place.
    (derived,) = [update_id for update_id in landed_updates(settings) if update_id.count("/") == 2]
    assert trace(run_headwater, derived)[0] == 0
    assert "Update 'landed': landed, duplicate." in run_headwater("trace", "landed").stdout
    assert "Event 'an-event-0': landed." in run_headwater("trace", "an-event-0").stdout


def test_a_dead_letter_of_an_update_is_replayed_to_its_own_topic_and_lands(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    send_updates(settings, update("broken", endpoint=ENDPOINT | {"OptOut": "MAYBE"}))
    land(settings, tmp_path, 1)
    replay = partial(run_headwater, "dead-letters", "replay", "--reason", "wrong_type", "--json")
    # Judged as an update: what it is, it would be again.
    unfixed = json.loads(replay().stdout)
    assert (unfixed["landing"], unfixed["dead_again"]) == (0, {"wrong_type": 1})
    fixed = json.loads(replay("--fix-sql", "replace(value, 'MAYBE', 'ALL')", "--send").stdout)
    assert (fixed["landing"], fixed["sent"]) == (1, 1)
    land(settings, tmp_path, 2)
    assert rows(settings, "endpoint_updates", ["update_id", "opt_out"]) == [("broken", "ALL")]
    assert rows(settings) == []
    shown = run_headwater("sql", "select state, event_id, topic from core.dead_letter_replays", "--json")
    assert json.loads(shown.stdout) == [{"state": "landed", "event_id": "broken", "topic": updates_topic(settings)}]
