"""Growing by one command: a worker more, partitions more, while events flow; and who does how much of it."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from kafka.admin import NewTopic

from pipeline.config import Settings, load_settings
from pipeline.group_status import Group, Member, read_group, share_topic
from pipeline.kafka_admin import open_admin
from pipeline.stack.status import read_processes
from pipeline.stores import producer_options
from pipeline.stream_status import read_stream_status
from pipeline.topics import ensure_topics, require_partitions_kept
from pipeline.topology import SEGMENT_MEMBERSHIP, topic_name
from schemas.errors import SettingError
from tests.conftest import RunHeadwater, free_port_offset, headwater, running_stack
from tests.stream import audit, event, landed_count, landed_ids, raw_events, send
from tests.worker_process import wait_until


class Flow:
    """Events that flow from one producer, which was there before the topic grew; `sent` are their numbers so far."""

    def __init__(self, settings: Settings) -> None:
        self.sent = 0
        self._settings, self._ends = settings, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def record(self, number: int) -> tuple[bytes, bytes]:
        return event(f"event-{number}", f"phone-{number % 97}")

    def _run(self) -> None:
        producer = confluent_kafka.Producer(producer_options(self._settings) | {"linger.ms": 1})
        while not self._ends.wait(0.02):
            for _ in range(5):
                key, value = self.record(self.sent)
                producer.produce(raw_events(self._settings), value, key)
                self.sent += 1
            producer.poll(0)
        assert producer.flush(30) == 0

    @contextmanager
    def flowing(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ends.set()
            self._thread.join()


def pids(settings: Settings) -> dict[str, int | None]:
    return {process["name"]: process["pid"] for process in read_processes(settings)}


def workers(settings: Settings) -> list[dict[str, Any]]:
    """What `headwater status --json` says of those who read raw-events."""
    topic, *_ = json.loads(headwater(settings, "status", "--json").stdout)["stream"]["topics"]
    return list(topic["workers"])


def partitions(settings: Settings) -> list[dict[str, int]]:
    """How far each partition of raw-events has landed."""
    topic, *_ = read_stream_status(settings, is_fresh_wanted=False)["topics"]
    found: list[dict[str, int]] = topic["partitions"]
    assert len(found) == 6
    return found


def counts(settings: Settings) -> dict[str, int]:
    """Partitions of every topic of these settings."""
    with open_admin(settings) as admin:
        found = admin.describe_topics([name for name in admin.list_topics() if name.startswith(settings.topic_prefix)])
    return {topic["name"].removeprefix(settings.topic_prefix): len(topic["partitions"]) for topic in found}


@pytest.mark.timeout(600)
def test_a_worker_and_two_partitions_more_while_events_flow_lose_and_double_nothing(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", port_offset=free_port_offset(), local_workers=1, flush_secs_max=0.3)
    flow = Flow(settings)
    with running_stack(settings):
        before = pids(settings)
        with flow.flowing():
            wait_until(lambda: landed_count(settings) > 100, "events in the lake")
            early = flow.sent
            grown = headwater(settings, "up", "--workers", "2", secs_max=300, topic_partitions="6")
            assert grown.returncode == 0, grown.stderr
            assert "Topic 'raw-events' has 6 partitions now; it had 4." in " ".join(grown.stderr.split())
            assert {name: pid for name, pid in pids(settings).items() if name != "worker-1"} == before, "nothing was started anew"
            wait_until(lambda: all(row["next_offset"] for row in partitions(settings)), "records of every partition in the lake")
        # Resends of what landed when there were four partitions: most keys belong elsewhere by now.
        send(settings, [flow.record(number) for number in range(early)])
        wait_until(lambda: landed_count(settings) == flow.sent + early, "all of it in the lake")
        assert landed_ids(settings) == Counter(f"event-{number}" for number in range(flow.sent))
        found = audit(settings)
        assert (found["is_clean"], found["landed"], found["duplicate"]) == (True, flow.sent, early)
        _check_shares(settings, flow.sent + early)

        fewer = headwater(settings, "up", "--workers", "2", topic_partitions="5")
        assert fewer.returncode == 2
        assert "Setting 'HEADWATER_TOPIC_PARTITIONS' is '5'; expected 6 or more, since topic 'raw-events' has 6 partitions" in fewer.stderr


def _check_shares(settings: Settings, record_count: int) -> None:
    """Each worker has a part, together they have everything."""
    found = workers(settings)
    assert [one["instance"] for one in found] == ["worker-0", "worker-1"]
    assert {one["host"] for one in found} == {"127.0.0.1"}
    assert sorted(number for one in found for number in one["partitions"]) == list(range(6))
    assert all(len(one["partitions"]) == 3 for one in found)
    assert sum(one["records"] for one in found) == record_count
    assert sum(one["records_share"] for one in found) == pytest.approx(1, abs=0.001)
    text = headwater(settings, "status").stdout
    assert "Who reads raw-events: group headwater, Stable" in text
    assert "worker-1" in text


def test_without_a_worker_status_says_that_nobody_reads(settings: Settings, topics: list[str], run_headwater: RunHeadwater) -> None:
    send(settings, [event("one", "phone-1"), event("two", "phone-2")])
    group = read_group(settings)
    assert (group.name, group.state, group.members) == (settings.worker_group, "Dead", ())
    elsewhere = {"kafka": settings.kafka_servers, "s3_endpoint": f"http://127.0.0.1:{settings.s3_port}"}
    keys = json.loads(settings.secrets_file.read_text())["s3"]["writer"]
    said = run_headwater(
        "status", "--json", s3_access_key_id=keys["access_key_id"], s3_secret_access_key=keys["secret_access_key"], **elsewhere
    )
    stream = json.loads(said.stdout)["stream"]
    assert stream["group"] == {"name": settings.worker_group, "state": "Dead"}
    assert stream["topics"][0]["workers"] == [
        {
            "member": None, "instance": None, "host": None, "partitions": [0, 1, 2, 3],
            "lag": 2, "lag_share": 1.0, "records": 2, "records_share": 1.0,
        }
    ]  # fmt: skip


def test_shares_are_of_the_topic_and_what_nobody_owns_is_a_line_of_its_own() -> None:
    ours = [Member(f"id-{name}", name, "10.0.0.1", ("t",), {"t": numbers}) for name, numbers in {"a": (0, 1), "b": (2,), "c": ()}.items()]
    partitions = [
        {"partition": number, "first_offset": 10, "next_offset": 10, "end_offset": 10 + records, "lag": lag}
        for number, (records, lag) in enumerate([(50, 5), (25, 0), (25, 15), (0, 0)])
    ]
    found = share_topic(Group("g", "Stable", tuple(ours)), {"topic": "t", "partitions": partitions})
    assert [(one["instance"], one["partitions"], one["lag_share"], one["records_share"]) for one in found] == [
        ("a", [0, 1], 0.25, 0.75),
        ("b", [2], 0.75, 0.25),
        ("c", [], 0.0, 0.0),
        (None, [3], 0.0, 0.0),
    ]


def test_only_a_setting_that_is_set_adds_partitions_and_never_to_a_state_topic(settings: Settings) -> None:
    with open_admin(settings) as admin:
        admin.create_topics([NewTopic(raw_events(settings), num_partitions=2, replication_factor=1)], wait_for_metadata=True)
    ensure_topics(settings)
    others = dict.fromkeys(["endpoint-updates", "rejected-events", "segment-membership", "campaign-triggers"], 4)
    assert counts(settings) == others | {"raw-events": 2}, "the default is no wish"

    said: list[str] = []
    wish = settings.model_copy(update={"topic_partitions": 5})
    ensure_topics(wish, said.append)
    wait_until(lambda: counts(settings)["raw-events"] == 5, "the partitions that were added")
    assert len(said) == 4
    assert f"Topic '{raw_events(settings)}' has 5 partitions now; it had 2." in said
    assert counts(settings) == dict.fromkeys(others, 5) | {"raw-events": 5, "segment-membership": 4}
    assert topic_name(settings, SEGMENT_MEMBERSHIP) not in " ".join(said), "a key's old value would stay in its old partition for ever"
    ensure_topics(wish, said.append)
    assert len(said) == 4, "a second time is harmless"


def test_fewer_partitions_are_refused_and_a_worker_with_yesterdays_setting_starts_all_the_same(settings: Settings) -> None:
    ensure_topics(settings)
    fewer = settings.model_copy(update={"topic_partitions": 3})
    with pytest.raises(SettingError, match=r"'HEADWATER_TOPIC_PARTITIONS' is '3'; expected 4 or more.*Kafka cannot take any away"):
        require_partitions_kept(fewer)
    assert ensure_topics(fewer) == []
    for fine in (settings, settings.model_copy(update={"topic_partitions": 4}), settings.model_copy(update={"topic_partitions": 9})):
        require_partitions_kept(fine)
