"""`headwater trace`: an event that landed, one that is a dead letter, one that is a duplicate, one still in Kafka, one never seen."""

import datetime as dt
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from pipeline.config import Settings
from pipeline.landed import read_landed
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.delta_log import list_commits
from sinks.lake import LakeTable
from sinks.log_search import SKEW, find_passing
from tests.conftest import RunHeadwater
from tests.stream import Record, event, has_landed, raw_events, rows, send
from tests.test_transport import begin_transaction, send_in_transaction
from tests.worker_process import WorkerProcess, running, wait_until

# A command or a worker takes its time where other tests run beside it.
wait_long = partial(wait_until, secs_max=180)

Trace = dict[str, Any]


def trace(run_headwater: RunHeadwater, event_id: str, *arguments: str) -> tuple[int, Trace]:
    done = run_headwater("trace", event_id, "--json", *arguments)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def purchase(event_id: str) -> Record:
    return event(event_id, event_type="_monetization.purchase", metrics={"_item_price": 3})


def land(settings: Settings, folder: Path, records: list[Record], count: int) -> None:
    """Send records to partition 0 and wait until a worker has landed so many in all.

    Dead letters stand before the commit that says how far their partition has landed: a worker that was stopped between them leaves records to look through.
    """
    send(settings, records, partition=0)
    events = LakeTable(build_store(settings), load_table("events"))

    def is_landed() -> bool:
        if not events.exists():
            return False
        events.refresh()
        return sum(one.records for one in read_landed("events", events.transactions())) == count

    with running(WorkerProcess(settings, folder, HEADWATER_FLUSH_SECS_MAX="0.3")):
        wait_long(is_landed, "the records")


@pytest.mark.timeout(900)
def test_every_answer_is_given_with_all_that_holds(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    # Before a worker ever ran: there is no lake yet.
    send(settings, [event("first")], partition=0)
    assert [trace(run_headwater, name)[0] for name in ("first", "nobody")] == [5, 6]
    broken, other_app = event("broken", event_type=7), event("first", application={"app_id": "bank"})
    land(settings, tmp_path, [event("other"), purchase("bought"), broken, (b"k", b"{\x1b[31m not json, but first-of-all"), other_app], 6)
    land(settings, tmp_path, [event("first")], 7)
    send(settings, [event("waiting"), event("first"), (b"k", b"no json, but unreadable-1"), event(7301)], partition=0)
    topic = raw_events(settings)

    # Landed, resent once as a duplicate, resent once more and not landed yet; and another app's event of the same id.
    status, found = trace(run_headwater, "first")
    assert (status, found["answers"]) == (0, ["landed", "duplicate", "waiting"])
    assert [(one["app_id"], one["_offset"]) for one in found["events"]] == [("shop", 0), ("bank", 5)]
    landed = found["events"][0]
    assert (landed["topic"], landed["_partition"], landed["is_version_exact"]) == (topic, 0, True)
    assert landed["views"] == ["staging.events", "core.events", "core.session_events"]
    assert set(landed["not_in_views"]) == {"core.message_facts", "core.purchases"}
    assert landed["not_in_views"]["core.message_facts"].startswith("Whatever else happened is no message's. (inner join types on ")
    assert (
        landed["not_in_views"]["core.purchases"]
        == "A purchase is this type of event and no other. (where event_type = '_monetization.purchase')"
    )
    assert build_store(settings).get(landed["file"])[:4] == b"PAR1"
    (duplicate,) = found["dead_letters"]
    assert (duplicate["reason"], duplicate["duplicate_of"], duplicate["_offset"]) == ("duplicate", f"{topic}/0/0", 6)
    assert "staging.dead_letters" in duplicate["views"]
    assert [(one["offset"], one["is_readable"]) for one in found["waiting"]] == [(8, True)]
    assert found["looked"]["records"] == 4
    # An id that was sent as a number will land as its text.
    assert trace(run_headwater, "7301")[1]["answers"] == ["waiting"]

    # Narrowed to an app, and to a time.
    status, found = trace(run_headwater, "first", "--app", "bank")
    assert (status, [one["_offset"] for one in found["events"]], found["dead_letters"], found["waiting"]) == (0, [5], [], [])
    assert trace(run_headwater, "first", "--since", "2100-01-01")[0] == 6

    bought = trace(run_headwater, "bought")[1]["events"][0]
    assert bought["views"] == ["staging.events", "core.events", "core.purchases", "core.session_events"]
    status, found = trace(run_headwater, "broken")
    assert (status, found["answers"]) == (3, ["dead letter"])
    assert (found["dead_letters"][0]["reason"], found["dead_letters"][0]["replay"]) == ("wrong_type", None)
    # A dead letter that could not be read is found by its bytes, so is one that waits.
    status, found = trace(run_headwater, "first-of-all")
    assert (status, found["dead_letters"][0]["reason"], found["dead_letters"][0]["event_id"]) == (3, "not_json", None)
    status, found = trace(run_headwater, "unreadable-1")
    assert (status, found["answers"], found["waiting"][0]["is_readable"]) == (5, ["waiting"], False)
    assert trace(run_headwater, "waiting")[1]["answers"] == ["waiting"]
    status, found = trace(run_headwater, "nobody")
    assert (status, found["answers"], found["looked"]["bound"]) == (6, ["not seen"], None)

    # Nothing found within a bound is another answer than nothing there.
    status, found = trace(run_headwater, "nobody", "--kafka-secs", "0")
    assert (status, found["answers"], found["looked"]["bound"]) == (7, ["not found"], "0 s (--kafka-secs)")
    assert found["looked"]["not_looked_at"][0][:2] == [topic, 0]
    away = run_headwater("trace", "nobody", kafka="127.0.0.1:9")
    assert (away.returncode, "What Kafka holds was not looked at: Kafka at '127.0.0.1:9'" in away.stdout) == (7, True)

    # For people: the same, without what would steer a terminal.
    shown = run_headwater("trace", "first").stdout
    assert f"{topic}/0/0" in shown
    assert "Event 'first': landed, duplicate, waiting." in shown
    steered = run_headwater("trace", "not json, but first-of-all").stdout
    assert not {char for char in steered if char < " "} - {"\n"}
    assert run_headwater("trace", "\x1b[99m").stdout.endswith(
        "Event '\\x1b[99m': not seen. Looked through 4 records that have not landed yet.\n"
    )


@pytest.mark.timeout(900)
def test_a_replay_is_told_and_an_event_without_an_id_is_found_by_where_it_came_from(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    key, value = event("broken", event_type=7)
    land(settings, tmp_path, [(key, value), (key, value.replace(b'"event_id": "broken", ', b""))], 2)
    fix = 'replace(value, \'"event_type": 7\', \'"event_type": "screen.view"\')'
    assert run_headwater("dead-letters", "replay", "--reason", "wrong_type", "--fix-sql", fix, "--send").returncode == 0
    ((topic_id,), *_) = rows(settings, "dead_letters", ["_topic_id"])
    # Not landed yet: the worker does not run.
    status, found = trace(run_headwater, "broken")
    assert (status, found["answers"]) == (3, ["dead letter", "waiting"])
    assert found["dead_letters"][0]["replay"]["sent_as"].startswith(f"{raw_events(settings)}/")
    assert trace(run_headwater, f"{topic_id}/0/1")[1]["answers"] == ["dead letter", "waiting"]
    with running(WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="0.3")):
        wait_long(lambda: has_landed(settings, 4), "what was replayed")
    assert trace(run_headwater, "broken")[1]["answers"] == ["landed", "dead letter"]
    assert trace(run_headwater, f"{topic_id}/0/1")[1]["answers"] == ["landed", "dead letter"]


def test_no_id_is_refused_and_a_position_is_told_from_one(run_headwater: RunHeadwater, topics: list[str]) -> None:
    refused = run_headwater("trace", " ")
    assert (refused.returncode, "Argument 'EVENT_ID' is ' '; expected the id of an event" in refused.stderr) == (2, True)
    done = run_headwater("trace", "raw-events/1/7")
    assert (done.returncode, "'headwater dead-letters show raw-events/1/7' takes it" in done.stdout) == (6, True)


def test_what_was_aborted_is_not_there_and_does_not_bound_the_look(
    settings: Settings, topics: list[str], run_headwater: RunHeadwater
) -> None:
    send_in_transaction(settings, [event("aborted")], is_committed=False)
    send(settings, [event("after")])
    assert [trace(run_headwater, name)[0] for name in ("aborted", "after")] == [6, 5]


def test_behind_a_transaction_that_is_open_nothing_is_said_to_be_not_there(
    settings: Settings, topics: list[str], run_headwater: RunHeadwater
) -> None:
    producer = begin_transaction(settings, [event("open")])
    send(settings, [event("behind")], partition=0)
    for name in ("open", "behind", "nobody"):
        status, found = trace(run_headwater, name, "--kafka-secs", "2")
        assert (status, found["answers"], found["looked"]["bound"]) == (7, ["not found"], "2 s (--kafka-secs)")
        assert found["looked"]["not_looked_at"][0] == [raw_events(settings), 0, 0, 2]
    producer.abort_transaction(30)
    assert [trace(run_headwater, name)[0] for name in ("open", "behind", "nobody")] == [6, 5, 6]


@pytest.fixture
def table(settings: Settings) -> LakeTable:
    """Versions 0 to 9, of which 2, 4, 6 and 8 take transaction `events/t/0` to 20, 40, 60 and 80."""
    found = LakeTable(build_store(settings), load_table("events"))
    found.ensure()
    for version in range(1, 10):
        found.refresh()
        found.commit([], {"events/t/0": version * 10} if version % 2 == 0 else {"events/other/0": version})
    found.refresh()
    return found


@pytest.mark.parametrize("since_version", [0, 4, 9, 10])
def test_the_version_that_landed_an_offset_is_found_wherever_the_search_begins(table: LakeTable, since_version: int) -> None:
    commits = sorted(list_commits(table.store, table.key))
    since = (commits[since_version][1] if since_version < len(commits) else dt.datetime.now(dt.UTC)) + SKEW
    for offset, version in ((0, 2), (19, 2), (20, 4), (45, 6), (79, 8)):
        commit = find_passing(table.store, table.key, "events/t/0", offset, since, table.version())
        assert commit is not None
        assert (commit.version, commit.is_exact) == (version, True)
    assert find_passing(table.store, table.key, "events/t/0", 80, since, table.version()) is None


def test_of_a_log_that_was_cleaned_the_version_is_named_as_at_or_before(table: LakeTable) -> None:
    DeltaTable(table.uri, storage_options=table.store.delta_options()).create_checkpoint()
    commits = sorted(list_commits(table.store, table.key))
    for _, _, name in commits[:5]:
        table.store.client().delete_object(Bucket=table.store.bucket, Key=name)

    def found(offset: int) -> tuple[int, bool] | None:
        commit = find_passing(table.store, table.key, "events/t/0", offset, commits[0][1], table.version())
        return (commit.version, commit.is_exact) if commit else None

    # Version 4 is gone: 20 to 39 may have landed in it or before 6.
    assert [found(offset) for offset in (5, 25, 45, 65, 85)] == [(6, False), (6, False), (6, False), (8, True), None]
    for _, _, name in commits[5:]:
        table.store.client().delete_object(Bucket=table.store.bucket, Key=name)
    assert found(65) == (9, False)
