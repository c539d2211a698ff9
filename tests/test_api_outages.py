"""Accepted means in Kafka: through an outage of Kafka, and through kill -9 of the API under load."""

import contextlib
import http.client
import itertools
import json
import random
import signal
import socket
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.config import Settings, load_settings
from pipeline.definitions.apps import create_app, find_app
from pipeline.definitions.database import changing, opened_definitions
from pipeline.definitions.guests import allow_guests
from pipeline.stack.readiness import answers_kafka, ensure_bucket
from pipeline.stack.supervision import Supervisor
from pipeline.topics import ensure_topics
from tests.api_process import ApiProcess, client, make_access_key, make_write_key, serving
from tests.client_programs import make_node, run
from tests.stream import landed_ids, rows
from tests.worker_process import WorkerProcess, running, wait_until

WHEN = "2026-01-01T00:00:00.000Z"
OUTAGE_SECS = 20


@pytest.fixture
def scene(own_stack: Settings) -> Settings:
    """Topics, a bucket and a group of a test's own on that stack, and app shop."""
    name = uuid.uuid4().hex[:12]
    found = own_stack.model_copy(update={"s3_bucket": f"t-{name}", "topic_prefix": f"t-{name}-", "worker_group": f"t-{name}"})
    found = load_settings(
        **{field: getattr(found, field) for field in (*own_stack.model_fields_set, "s3_bucket", "topic_prefix", "worker_group")}
    )
    ensure_bucket(found)
    ensure_topics(found)
    return found


def make_shop(settings: Settings) -> None:
    """App shop, unless a test before this one has made it: the definitions are the stack's."""
    with opened_definitions(settings) as engine, changing(engine) as connection:
        if find_app(connection, "shop") is None:
            create_app(connection, "shop", "shop")


def events_request(ids: list[str], endpoint_id: str = "phone-1") -> dict[str, Any]:
    events = {event_id: {"EventType": "cart.add", "Timestamp": WHEN, "Attributes": {"sku": "A1"}} for event_id in ids}
    return {"BatchItem": {endpoint_id: {"Endpoint": {}, "Events": events}}}


def put(pinpoint: Any, request: dict[str, Any]) -> dict[str, int]:
    """Status of each event, by id."""
    results = pinpoint.put_events(ApplicationId="shop", EventsRequest=request)["EventsResponse"]["Results"]
    return {event_id: each["StatusCode"] for result in results.values() for event_id, each in result["EventsItemResponse"].items()}


def put_until_accepted(pinpoint: Any, request: dict[str, Any]) -> None:
    """The README's loop: what is not accepted goes again, with the same ids and times."""
    batch = request["BatchItem"]
    while batch:
        results = pinpoint.put_events(ApplicationId="shop", EventsRequest={"BatchItem": batch})["EventsResponse"]["Results"]
        failed = {}
        for endpoint_id, entry in batch.items():
            answers = results[endpoint_id]["EventsItemResponse"]
            events = {event_id: event for event_id, event in entry["Events"].items() if answers[event_id]["StatusCode"] >= 500}
            if events:
                failed[endpoint_id] = entry | {"Events": events}
        batch = failed
        if batch:
            time.sleep(1)


@pytest.mark.timeout(400)
def test_app_that_sends_through_an_outage_of_kafka_loses_nothing_if_it_sends_again_and_else_it_does(
    scene: Settings, tmp_path: Path
) -> None:
    make_shop(scene)
    key, supervisor = make_access_key(scene, "shop"), Supervisor(scene)
    sent: list[str] = []
    # Of the control, which does not send again.
    control_sent: list[str] = []
    control_refused: list[str] = []
    is_over = threading.Event()

    def send_forever(api: ApiProcess) -> None:
        pinpoint = client("pinpoint", api, key, read_timeout=60)
        while not is_over.wait(0.2):
            ids = [str(uuid.uuid4()) for _ in range(5)]
            sent.extend(ids)
            put_until_accepted(pinpoint, events_request(ids))

    def send_once_each(api: ApiProcess) -> None:
        pinpoint = client("pinpoint", api, key, read_timeout=60)
        while not is_over.wait(0.2):
            ids = [str(uuid.uuid4()) for _ in range(5)]
            control_sent.extend(ids)
            control_refused.extend(event_id for event_id, status in put(pinpoint, events_request(ids)).items() if status != 202)

    with serving(ApiProcess(scene, tmp_path, HEADWATER_ACK_SECS_MAX="4")) as api, running(WorkerProcess(scene, tmp_path)):
        senders = [threading.Thread(target=send, args=[api]) for send in (send_forever, send_once_each)]
        for sender in senders:
            sender.start()
        try:
            is_over.wait(2)
            supervisor.call("stopProcess", "kafka")
            is_over.wait(OUTAGE_SECS)
            supervisor.call("startProcess", "kafka")
            wait_until(lambda: answers_kafka(scene), "Kafka answers again")
            is_over.wait(3)
        finally:
            is_over.set()
            for sender in senders:
                sender.join()
        assert sent
        accepted = set(sent) | (set(control_sent) - set(control_refused))
        wait_until(lambda: accepted <= set(landed_ids(scene)), "everything that was accepted has landed", 90)
    landed = landed_ids(scene)
    # What the API gave up may have reached Kafka all the same: its resend was told apart.
    assert {event_id: landed[event_id] for event_id in sent} == dict.fromkeys(sent, 1)
    lost = set(control_sent) - set(landed)
    assert lost, "without the loop the outage must cost something"
    assert lost <= set(control_refused)
    print(f"lost without the loop: {len(lost)} of {len(control_sent)}, for example {sorted(lost)[0]}")


@pytest.mark.full
@pytest.mark.timeout(900)
def test_amplify_loses_nothing_through_an_outage_of_kafka_by_its_own_retries(scene: Settings, tmp_path: Path) -> None:
    folder, supervisor = make_node(tmp_path / "node"), Supervisor(scene)
    make_shop(scene)
    with opened_definitions(scene) as engine, changing(engine) as connection:
        pool_id = allow_guests(connection, "shop")
    ticks = 2 * (OUTAGE_SECS + 20)
    # With what both have by default: how long a request is held decides for how long Amplify goes on.
    with serving(ApiProcess(scene, tmp_path)) as api, running(WorkerProcess(scene, tmp_path)):
        given = json.dumps({"url": api.url, "appId": "shop", "poolId": pool_id, "ticks": ticks, "waitMs": 60_000})
        said: list[str] = []
        sender = threading.Thread(target=lambda: said.append(run(["node", "amplify_outage.mjs"], folder, given)))
        sender.start()
        try:
            wait_until(lambda: bool(ticks_landed(scene)), "the first tick has landed")
            supervisor.call("stopProcess", "kafka")
            threading.Event().wait(OUTAGE_SECS)
        finally:
            supervisor.call("startProcess", "kafka")
            wait_until(lambda: answers_kafka(scene), "Kafka answers again")
            sender.join()
        found = json.loads(said[0])
        # It was told that items are not stored, and sent them again.
        assert found["refusals"] > 0, found
        wait_until(lambda: len(ticks_landed(scene)) == ticks, "every tick has landed", 60)
    assert ticks_landed(scene) == Counter(str(tick) for tick in range(ticks))


def ticks_landed(settings: Settings) -> Counter[str]:
    return Counter(
        dict(attributes)["tick"] for event_type, attributes in rows(settings, columns=["event_type", "attributes"]) if event_type == "tick"
    )


def test_while_kafka_is_away_items_are_answered_in_time_as_not_stored_and_what_is_held_is_bounded(scene: Settings, tmp_path: Path) -> None:
    make_shop(scene)
    key, supervisor = make_access_key(scene, "shop"), Supervisor(scene)
    limits = {"HEADWATER_ACK_SECS_MAX": "3", "HEADWATER_API_HELD_BYTES_MAX": "400000", "HEADWATER_API_STREAMS": "clicks=shop"}
    with serving(ApiProcess(scene, tmp_path, **limits)) as api:
        pinpoint = client("pinpoint", api, key, read_timeout=60, max_pool_connections=20)
        assert set(put(pinpoint, events_request(["before"])).values()) == {202}
        supervisor.call("stopProcess", "kafka")
        try:
            firehose, kinesis = client("firehose", api, key, read_timeout=60), client("kinesis", api, key, read_timeout=60)
            failed = firehose.put_record_batch(DeliveryStreamName="clicks", Records=[{"Data": b'{"event":"x"}'}, {"Data": b"garbage"}])
            assert (failed["FailedPutCount"], [each["ErrorCode"] for each in failed["RequestResponses"]]) == (
                2,
                ["ServiceUnavailableException"] * 2,
            )
            failed = kinesis.put_records(StreamName="clicks", Records=[{"Data": b'{"event":"x"}', "PartitionKey": "p"}])
            assert (failed["FailedRecordCount"], [each["ErrorCode"] for each in failed["Records"]]) == (1, ["InternalFailure"])
            answers: list[tuple[float, int]] = []

            def ask(number: int) -> None:
                began = time.monotonic()
                request = events_request([f"{number}-{place}" for place in range(20)])
                for event in request["BatchItem"]["phone-1"]["Events"].values():
                    event["Attributes"] = {"filler": "x" * 5000}
                try:
                    statuses = set(put(pinpoint, request).values())
                except ClientError as error:
                    # There was no room for its body either.
                    statuses = {error.response["ResponseMetadata"]["HTTPStatusCode"]}
                answers.append((time.monotonic() - began, statuses.pop()))
                assert not statuses

            threads = [threading.Thread(target=ask, args=[number]) for number in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert [status for _, status in answers] == [500] * 12
            secs = sorted(took for took, _ in answers)
            # Three requests fit into what is held; the others were answered at once, these when their time was over.
            assert secs[0] < secs[-1] / 2
        finally:
            supervisor.call("startProcess", "kafka")
            wait_until(lambda: answers_kafka(scene), "Kafka answers again")
        wait_until(lambda: set(put(pinpoint, events_request([str(uuid.uuid4())])).values()) == {202}, "events are accepted again")


class Senders:
    """Clients that send without a pause, each batch until it was answered, and keep what was answered Accepted."""

    def __init__(self, api: ApiProcess, write_key: str, count: int = 6) -> None:
        self.accepted: Counter[str] = Counter()
        self._api, self._write_key = api, write_key
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[number]) for number in range(count)]

    def __enter__(self) -> "Senders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        for turn in itertools.count():
            if self._is_over.is_set():
                return
            ids = [f"{number}-{turn}-{place}" for place in range(10)]
            body = json.dumps(events_request(ids, f"phone-{number}")).encode()
            for event_id in self._send(body):
                with self._lock:
                    self.accepted[event_id] += 1

    def _send(self, body: bytes) -> list[str]:
        """Ids that were answered Accepted. A connection that breaks says nothing: the batch goes again, as SDKs do."""
        for _ in range(200):
            connection = http.client.HTTPConnection("127.0.0.1", self._api.port, timeout=20)
            try:
                connection.request("POST", "/v1/apps/shop/events", body, {"authorization": f"Bearer {self._write_key}"})
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                if self._is_over.wait(0.05):
                    return []
                continue
            finally:
                connection.close()
            assert answer.status == 202, text
            (result,) = json.loads(text)["Results"].values()
            return [
                event_id for event_id, each in result["EventsItemResponse"].items() if each == {"StatusCode": 202, "Message": "Accepted"}
            ]
        return []


def kill_under_load(settings: Settings, folder: Path, kills: int, module: str = "pipeline.commands.serve") -> Senders:
    """The API killed so many times at random moments while clients send; a worker lands what Kafka has."""
    make_shop(settings)
    chance = random.Random(20261126)
    with serving(ApiProcess(settings, folder, module)) as api, Senders(api, make_write_key(settings)) as senders:
        for _ in range(kills):
            threading.Event().wait(chance.uniform(0.3, 1.2))
            api.kill()
            api.start()
        threading.Event().wait(0.5)
        api.kill()
    return senders


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.full)])
@pytest.mark.timeout(600)
def test_every_event_answered_accepted_is_in_the_lake_once_though_the_api_is_killed(scene: Settings, tmp_path: Path, kills: int) -> None:
    senders = kill_under_load(scene, tmp_path, kills)
    assert len(senders.accepted) > 100
    with running(WorkerProcess(scene, tmp_path)):
        wait_until(lambda: set(senders.accepted) <= set(landed_ids(scene)), "everything that was accepted has landed")
    landed = landed_ids(scene)
    assert {event_id: landed[event_id] for event_id in senders.accepted} == dict.fromkeys(senders.accepted, 1)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_an_api_that_answers_before_kafka_does_loses_what_it_accepted(scene: Settings, tmp_path: Path) -> None:
    senders = kill_under_load(scene, tmp_path, 2, "tests.hasty_api")
    # One that comes after all others, through an honest API, says that the worker has landed what there is.
    with serving(ApiProcess(scene, tmp_path)) as api, running(WorkerProcess(scene, tmp_path)):
        put(client("pinpoint", api, make_access_key(scene, "shop")), events_request(["last"]))
        wait_until(lambda: "last" in landed_ids(scene), "the last one has landed")
        threading.Event().wait(3)
    assert set(senders.accepted) - set(landed_ids(scene))


@pytest.mark.parametrize("is_asked", [True, False], ids=["told to leave", "control"])
def test_request_that_is_under_way_is_answered_by_an_api_that_is_told_to_leave_and_not_by_one_that_is_killed(
    scene: Settings, tmp_path: Path, is_asked: bool
) -> None:
    make_shop(scene)
    body = json.dumps(events_request([str(uuid.uuid4())])).encode()
    with serving(ApiProcess(scene, tmp_path)) as api, socket.create_connection(("127.0.0.1", api.port), timeout=20) as connection:
        key, process = make_write_key(scene), api.process
        assert process is not None
        head = f"POST /v1/apps/shop/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:10])
        threading.Event().wait(0.5)
        process.send_signal(signal.SIGTERM if is_asked else signal.SIGKILL)
        threading.Event().wait(0.5)
        answer = b""
        with contextlib.suppress(OSError):
            connection.sendall(body[10:])
            while part := connection.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 202") is is_asked
        assert (process.wait(30) == 0) is is_asked
