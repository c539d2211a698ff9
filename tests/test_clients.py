"""Clients as their users run them, unmodified: boto3, aws-cli, AWS's SDKs for Node.js and Go, Amplify as a guest; and moto's own tests."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import cbor2
import confluent_kafka
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pipeline.config import Settings
from pipeline.definitions.database import open_definitions
from pipeline.definitions.guests import allow_guests, forbid_guests
from pipeline.stores import confluent_options
from pipeline.topology import ENDPOINT_UPDATES, topic_name
from schemas.tables import load_table
from tests.api_process import ApiProcess, make_access_key, make_app, serving
from tests.client_programs import FOLDER, make_go, make_node, make_python, run
from tests.stream import has_landed, landed_ids, rows
from tests.worker_process import WorkerProcess, running, wait_until

# Each makes its own environment where it is the first.
pytestmark = pytest.mark.timeout(900)

POOL, OTHER_POOL = "us-east-1:11111111-2222-4333-8444-555555555555", "us-east-1:99999999-2222-4333-8444-555555555555"
# What differs from one sending to the next: who sent, when and where it came to lie.
VARYING = {
    "event_id",
    "endpoint_id",
    "user_agent",
    "browser",
    "arrival_timestamp",
    "arrival_date",
    "received_at",
    "sent_at",
    "_appended_at",
    "_payload_hash",
    "_partition",
    "_offset",
}
# Amplify takes an event's name, attributes and metrics; its clock, its session and an empty endpoint are its own.
AMPLIFY_DECIDES = {
    "event_timestamp",
    "session_id",
    "session_start_timestamp",
    "session_stop_timestamp",
    "app_package_name",
    "app_title",
    "app_version_name",
    "app_version_code",
    "sdk_name",
    "sdk_version",
    "platform",
    "platform_version",
    "make",
    "model",
    "locale",
    "language",
    "country",
    "channel",
    "user_id",
    "user_attributes",
    "endpoint_attributes",
    "endpoint",
    # Its session's duration, and nothing else: see below.
    "extra",
}

Row = dict[str, Any]
Send = Callable[[ApiProcess, dict[str, str], Path, dict[str, Any]], dict[str, Any]]


def build_request(name: str) -> dict[str, Any]:
    """The events of every client, under ids of its own."""
    endpoint = {
        "Address": "ä@example.com",
        "ChannelType": "EMAIL",
        "OptOut": "NONE",
        "Attributes": {"taste": ["süß", "🍰"]},
        "Metrics": {"visits": 3.0},
        "Demographic": {
            "AppVersion": "2.5",
            "Locale": "de_AT",
            "Make": "Fairphone",
            "Model": "5",
            "Platform": "android",
            "PlatformVersion": "14",
        },
        "User": {"UserId": "jürgen", "UserAttributes": {"tier": ["gold"]}},
    }
    first = {
        "EventType": "cart.add",
        "Timestamp": "2026-01-01T00:00:00.123Z",
        "AppPackageName": "com.example.shop",
        "AppTitle": "Läden",
        "AppVersionCode": "42",
        "SdkName": "shop-sdk",
        "ClientSdkVersion": "1.2.3",
        "Attributes": {"sku": "A1", "title": "Žluťoučký kůň 🐴", "quoted": 'a "b" \\ c\n'},
        "Metrics": {"price": 9.5, "count": 3.0, "tiny": 1.25e-7},
        "Session": {"Id": "session-1", "StartTimestamp": "2025-12-31T23:59:00.000Z"},
    }
    last = {
        **first,
        "EventType": "_session.stop",
        "Timestamp": "2026-01-01T00:05:00.000Z",
        "Session": {
            "Id": "session-1",
            "StartTimestamp": "2025-12-31T23:59:00.000Z",
            "StopTimestamp": "2026-01-01T00:05:00.000Z",
            "Duration": 360000,
        },
    }
    return {"BatchItem": {f"{name}/é 1": {"Endpoint": endpoint, "Events": {f"{name}-0": first, f"{name}-1": last}}}}


def send_boto3(api: ApiProcess, key: dict[str, str], folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    script = str(FOLDER / "put_events.py")
    return parse(run([str(make_python() / "python"), script], folder, json.dumps(request), URL=api.url, APP_ID="shop", **key))


def send_aws_cli(api: ApiProcess, key: dict[str, str], folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    (folder / "events.json").write_text(json.dumps(request, ensure_ascii=False))
    aws = [str(make_python() / "aws"), "pinpoint"]
    common = ["--endpoint-url", api.url, "--region", "us-east-1", "--application-id", "shop"]
    (endpoint_id, item), *_ = request["BatchItem"].items()
    update = json.dumps({"ChannelType": "EMAIL", "Address": item["Endpoint"]["Address"]})
    variables = key | {"PYTHONUTF8": "1", "HOME": str(folder)}
    run([*aws, "update-endpoint", *common, "--endpoint-id", endpoint_id, "--endpoint-request", update], folder, **variables)
    answer = parse(run([*aws, "put-events", *common, "--events-request", "file://events.json"], folder, **variables))
    found: dict[str, Any] = answer["EventsResponse"]
    return found


def send_node(api: ApiProcess, key: dict[str, str], folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    scripts = make_node(folder / "node")
    return parse(run(["node", "put_events.mjs"], scripts, json.dumps(request), URL=api.url, APP_ID="shop", **key))


def send_go(api: ApiProcess, key: dict[str, str], folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    return parse(run([str(make_go())], folder, json.dumps(request), URL=api.url, APP_ID="shop", **key))


def parse(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture
def key(settings: Settings) -> dict[str, str]:
    """An app that lets guests in, and a key of it, as SDKs take it from the environment."""
    make_app(settings)
    let_guests_in(settings)
    key_id, secret = make_access_key(settings, "shop")
    return {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def api(settings: Settings, topics: list[str], tmp_path: Path, key: dict[str, str]) -> Iterator[ApiProcess]:
    with serving(ApiProcess(settings, tmp_path, HEADWATER_API_STREAMS="clicks=shop")) as started:
        yield started


def test_boto3_is_told_that_each_event_is_accepted(api: ApiProcess, key: dict[str, str], tmp_path: Path, settings: Settings) -> None:
    request = build_request("boto3")
    assert send_boto3(api, key, tmp_path, request)["Results"] == accepted(request)
    # Its id stood in an address, percent-encoded, and comes out as it was.
    assert updated_endpoints(settings) == {"boto3/é 1"}


@pytest.mark.parametrize("send", [send_aws_cli, send_node, send_go])
def test_the_same_events_land_as_the_same_rows_whichever_sdk_sent_them(
    settings: Settings, api: ApiProcess, key: dict[str, str], tmp_path: Path, send: Send
) -> None:
    ours, theirs = build_request("boto3"), build_request("other")
    # Whatever is not here skips before anything is started.
    answer = send(api, key, tmp_path, theirs)["Results"]
    assert {endpoint_id: item["EventsItemResponse"] for endpoint_id, item in answer.items()} == {
        endpoint_id: item["EventsItemResponse"] for endpoint_id, item in accepted(theirs).items()
    }
    send_boto3(api, key, tmp_path, ours)
    control = build_request("control")
    control["BatchItem"]["control/é 1"]["Events"]["control-0"]["Metrics"]["price"] = 9.25
    send_boto3(api, key, tmp_path, control)
    with running(WorkerProcess(settings, tmp_path)):
        wait_until(lambda: has_landed(settings, 6), "all have landed")
    found = landed(settings)
    assert set(found) == {"boto3-0", "boto3-1", "other-0", "other-1", "control-0", "control-1"}
    assert [found[f"other-{number}"]["endpoint_id"] for number in range(2)] == ["other/é 1"] * 2
    assert [differences(found[f"boto3-{number}"], found[f"other-{number}"]) for number in range(2)] == [set(), set()]
    # The comparison does see a difference.
    assert differences(found["boto3-0"], found["control-0"]) == {"metrics"}
    assert found["other-0"]["attributes"]["title"] == "Žluťoučký kůň 🐴"
    assert found["other-0"]["user_agent"] != found["boto3-0"]["user_agent"]
    assert updated_endpoints(settings) >= {"boto3/é 1", "other/é 1"}


def test_amplify_sends_as_a_guest_who_holds_no_key(settings: Settings, api: ApiProcess, key: dict[str, str], tmp_path: Path) -> None:
    request = build_request("boto3")
    events = amplify_events(request)
    # One after the other: of two that are recorded before it has its first keys Amplify 6.22.1 loses one by itself.
    wire = run_amplify(api, tmp_path, [{"events": [event]} for event in events])
    send_boto3(api, key, tmp_path, request)
    with running(WorkerProcess(settings, tmp_path)):
        wait_until(lambda: has_landed(settings, 4), "all have landed")
    # What it asks, in this order; then events, signed for the host that it knows.
    assert [call["target"] for call in wire[:2]] == [
        "AWSCognitoIdentityService.GetId",
        "AWSCognitoIdentityService.GetCredentialsForIdentity",
    ]
    assert {call["host"] for call in wire if call["path"].startswith("/v1/apps/")} == {"pinpoint.us-east-1.amazonaws.com"}
    sent = sent_by_amplify(wire)
    assert {call["status"] for call in wire if call["path"].endswith("/events")} == {202}
    found = landed(settings)
    theirs = {found[event_id]["event_type"]: found[event_id] for event_id in sent}
    for number in range(2):
        ours = found[f"boto3-{number}"]
        assert differences(ours, theirs[ours["event_type"]]) - AMPLIFY_DECIDES == set()
        assert theirs[ours["event_type"]]["endpoint_id"] in wire_endpoints(wire)
    assert theirs["cart.add"]["extra"] is None
    assert json.loads(theirs["_session.stop"]["extra"]).keys() == {"session"}


def test_a_guests_request_signed_for_awss_own_host_is_taken_and_one_for_any_other_or_of_a_lasting_key_is_not(
    api: ApiProcess, key: dict[str, str]
) -> None:
    # In a browser nobody can send the header Host that Amplify signed.
    signed_for = (api.url, "https://pinpoint.us-east-1.amazonaws.com", "https://pinpoint.eu-west-1.amazonaws.com", "https://example.com")
    identity = ask_cognito(f"{api.url}/", "GetId", {"IdentityPoolId": POOL})["IdentityId"]
    given = ask_cognito(f"{api.url}/", "GetCredentialsForIdentity", {"IdentityId": identity})["Credentials"]
    guest = {"AWS_ACCESS_KEY_ID": given["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": given["SecretKey"], "TOKEN": given["SessionToken"]}
    assert [send_signed(api, guest, host).status_code for host in signed_for] == [202, 202, 403, 403]
    # A pair that AWS knows too could have been meant for AWS.
    assert [send_signed(api, key, host).status_code for host in signed_for] == [202, 403, 403, 403]


def test_amplify_renews_its_keys_and_goes_on_sending(settings: Settings, topics: list[str], key: dict[str, str], tmp_path: Path) -> None:
    events: list[dict[str, Any]] = [{"name": f"screen.{number}", "attributes": {"n": str(number)}} for number in range(3)]
    with serving(ApiProcess(settings, tmp_path, "tests.rigged_api", RIG_GUEST_SECS="3")) as api:
        steps: list[dict[str, Any]] = [
            {"events": events[:1]},
            # The first keys have expired: Amplify takes new ones, because its own clock says that it is time.
            {"events": events[1:2], "waitMs": 3500, "aheadMs": 51 * 60 * 1000},
            # Control: the second have expired too, and nothing tells Amplify.
            {"events": events[2:], "waitMs": 3500},
        ]
        wire = run_amplify(api, tmp_path, steps)
    batches = [call for call in wire if call["path"].endswith("/events") and '"EventType"' in call["sent"]]
    assert [call["status"] for call in batches][:2] == [202, 202]
    assert batches[0]["key"] != batches[1]["key"]
    assert {(call["status"], call["kind"]) for call in batches[2:]} == {(403, "ExpiredTokenException")}
    assert len({json.loads(call["answer"])["IdentityId"] for call in wire if call["target"]}) == 1
    with running(WorkerProcess(settings, tmp_path)):
        wait_until(lambda: has_landed(settings, 2), "what was accepted has landed")
    assert {row["event_type"] for row in landed(settings).values()} == {"screen.0", "screen.1"}


def test_an_expired_token_is_refused_by_name_and_lands_nothing(
    settings: Settings, topics: list[str], key: dict[str, str], tmp_path: Path
) -> None:
    with serving(ApiProcess(settings, tmp_path, "tests.rigged_api", RIG_GUEST_SECS="3")) as api:
        cognito = f"{api.url}/"
        identity = ask_cognito(cognito, "GetId", {"IdentityPoolId": POOL})["IdentityId"]
        given = ask_cognito(cognito, "GetCredentialsForIdentity", {"IdentityId": identity})["Credentials"]
        guest = boto3.client(
            "pinpoint",
            endpoint_url=api.url,
            region_name="us-east-1",
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretKey"],
            aws_session_token=given["SessionToken"],
        )
        # Control: while they hold they open the door.
        guest.put_events(ApplicationId="shop", EventsRequest=build_request("fresh"))
        wait_until(lambda: is_refused(guest), "the keys have expired")
        with pytest.raises(guest.exceptions.ClientError) as caught:
            guest.put_events(ApplicationId="shop", EventsRequest=build_request("late"))
        assert caught.value.response["Error"]["Code"] == "ExpiredTokenException"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        with running(WorkerProcess(settings, tmp_path)):
            wait_until(lambda: {"fresh-0", "fresh-1"} <= set(landed_ids(settings)), "what was accepted has landed")
    assert not [event_id for event_id in landed_ids(settings) if event_id.startswith("late")]
    assert rows(settings, "dead_letters") == []


def test_amplify_keeps_the_identity_that_the_real_cognito_gave_it(api: ApiProcess, settings: Settings, tmp_path: Path) -> None:
    identity = "us-east-1:0f1e2d3c-4b5a-4697-8899-aabbccddeeff"
    wire = run_amplify(api, tmp_path, [{"events": [{"name": "screen.view"}]}], identityId=identity)
    assert {call["target"] for call in wire if call["target"]} == {"AWSCognitoIdentityService.GetCredentialsForIdentity"}
    assert json.loads(wire[0]["sent"])["IdentityId"] == json.loads(wire[0]["answer"])["IdentityId"] == identity
    assert next(call["status"] for call in wire if call["path"].endswith("/events")) == 202
    # Control: where two apps let guests in, nobody can tell whose it is.
    make_app(settings, "other")
    let_guests_in(settings, "other", OTHER_POOL)
    wait_until(
        lambda: "Credentials" not in ask_cognito(api.url, "GetCredentialsForIdentity", {"IdentityId": identity}), "the second is known"
    )
    # It is known again as soon as there is one pool: who holds an identity asks once, and what it wanted to record is lost if it gets none.
    with open_definitions(settings).begin() as connection:
        forbid_guests(connection, OTHER_POOL)
    wait_until(lambda: "Credentials" in ask_cognito(api.url, "GetCredentialsForIdentity", {"IdentityId": identity}), "it is known again", 3)


def test_firehose_and_kinesis_of_node_land_what_they_send(settings: Settings, api: ApiProcess, key: dict[str, str], tmp_path: Path) -> None:
    scripts = make_node(tmp_path / "node")
    texts = {door: [free_event(f"{door}-{number}") for number in range(3)] for door in ("firehose", "kinesis")}
    answer = parse(run(["node", "put_records.mjs"], scripts, json.dumps(texts), URL=api.url, **key))
    assert answer == {"firehose": 0, "kinesis": 0}
    with running(WorkerProcess(settings, tmp_path)):
        wait_until(lambda: has_landed(settings, 6), "all have landed")
    found = landed(settings)
    assert set(found) == {f"{door}-{number}" for door in ("firehose", "kinesis") for number in range(3)}
    assert {row["source"] for row in found.values()} == {"firehose:clicks", "kinesis:clicks"}
    assert {row["attributes"]["title"] for row in found.values()} == {"Žluťoučký kůň 🐴"}


def test_kinesis_in_cbor_as_the_sdk_for_java_sends_it_lands(
    settings: Settings, api: ApiProcess, key: dict[str, str], tmp_path: Path
) -> None:
    records = [{"Data": free_event(f"cbor-{number}").encode(), "PartitionKey": "é"} for number in range(2)]
    answer = post_cbor(api, key, cbor2.dumps({"StreamName": "clicks", "Records": records}))
    assert answer.headers["content-type"] == "application/x-amz-cbor-1.1"
    found = cbor2.loads(answer.content)
    assert (answer.status_code, found["FailedRecordCount"], len(found["Records"])) == (200, 0, 2)
    # Control: a body that is not CBOR is refused in CBOR.
    refused = post_cbor(api, key, b"\xff not cbor")
    assert (refused.status_code, cbor2.loads(refused.content)["__type"]) == (400, "SerializationException")
    with running(WorkerProcess(settings, tmp_path)):
        wait_until(lambda: has_landed(settings, 2), "both have landed")
    assert set(landed(settings)) == {"cbor-0", "cbor-1"}


# moto's own tests of Pinpoint, as its source distribution has them: all of them.
MOTO_TESTS = {
    "test_create_app",
    "test_delete_app",
    "test_get_app",
    "test_get_apps_initial",
    "test_get_apps",
    "test_update_application_settings",
    "test_get_application_settings",
    "test_list_tags_for_resource_empty",
    "test_list_tags_for_resource",
    "test_tag_resource",
    "test_untag_resource",
    "test_put_event_stream",
    "test_get_event_stream",
    "test_delete_event_stream",
}


@pytest.mark.full
def test_motos_own_tests_of_pinpoint_pass_against_our_server(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    tests = unpack_moto(tmp_path)
    with serving(ApiProcess(settings, tmp_path, HEADWATER_API_AUTH="off")) as api:
        passed, failed = run_moto(api, tests)
        assert (passed, failed) == (MOTO_TESTS, set())
        # Control: with the apps of others left lying there, the one that counts them sees it.
        passed, failed = run_moto(api, tests, RIG_LEAVE_APPS="yes")
        assert "test_get_apps_initial" in failed


def accepted(request: dict[str, Any]) -> dict[str, Any]:
    """The results of a request of which everything is accepted."""
    ok = {"StatusCode": 202, "Message": "Accepted"}
    return {
        endpoint_id: {"EndpointItemResponse": ok, "EventsItemResponse": dict.fromkeys(item["Events"], ok)}
        for endpoint_id, item in request["BatchItem"].items()
    }


def landed(settings: Settings) -> dict[str, Row]:
    """The rows of the events, by their id; each id once."""
    names = load_table("events").column_names
    found = [dict(zip(names, row, strict=True)) for row in rows(settings, columns=names)]
    assert len({row["event_id"] for row in found}) == len(found)
    for row in found:
        row |= {name: dict(row[name]) for name in ("attributes", "metrics", "endpoint_attributes", "user_attributes") if row[name]}
        row["endpoint"] = json.loads(row["endpoint"]) if row["endpoint"] else None
    return {row["event_id"]: row for row in found}


def differences(one: Row, other: Row) -> set[str]:
    """The columns in which two rows differ, but for those that vary."""
    return {name for name in one if one[name] != other[name]} - VARYING


def unpack_moto(folder: Path) -> Path:
    """The folder of moto's source distribution, whose checksum is in the lock."""
    lock = (FOLDER / "requirements.txt").read_text()
    pinned = re.search(r"^moto==(\S+) (?:\\\n\s+--hash=sha256:\w+ ?)+", lock, re.MULTILINE)
    assert pinned is not None
    command = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "moto", f"moto=={pinned[1]}", "--dest", str(folder)]
    run([sys.executable, *command])
    (archive,) = folder.glob("moto-*.tar.gz")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in pinned[0]
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def run_moto(api: ApiProcess, tests: Path, **rig: str) -> tuple[set[str], set[str]]:
    """Which of moto's tests pass and which do not."""
    variables = {"TEST_SERVER_MODE": "true", "TEST_SERVER_MODE_ENDPOINT": api.url, "PYTHONPATH": str(FOLDER), **rig}
    variables |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    command = [
        str(make_python() / "python"),
        "-m",
        "pytest",
        "-p",
        "empty_server",
        "-p",
        "no:cacheprovider",
        "--color=no",
        "-v",
        "tests/test_pinpoint",
    ]
    done = subprocess.run(
        command, cwd=tests, env=os.environ | variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
    )
    found = re.findall(r"::(\w+) (PASSED|FAILED|ERROR)", done.stdout)
    assert found, done.stdout + done.stderr
    print(done.stdout)
    return {name for name, how in found if how == "PASSED"}, {name for name, how in found if how != "PASSED"}


def free_event(event_id: str) -> str:
    return json.dumps({"event_id": event_id, "event_type": "click", "endpoint_id": "é/1", "title": "Žluťoučký kůň 🐴", "price": 1.5})


def let_guests_in(settings: Settings, app_id: str = "shop", pool_id: str = POOL) -> None:
    with open_definitions(settings).begin() as connection:
        allow_guests(connection, app_id, pool_id)


def amplify_events(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a request as Amplify's `record` takes them."""
    (item,) = request["BatchItem"].values()
    return [
        {"name": event["EventType"], "attributes": event["Attributes"], "metrics": event["Metrics"]} for event in item["Events"].values()
    ]


def run_amplify(api: ApiProcess, folder: Path, steps: Sequence[dict[str, Any]], **more: str) -> list[dict[str, Any]]:
    """What Amplify sent, and what it heard."""
    given = {"url": api.url, "appId": "shop", "poolId": POOL, "steps": steps} | more
    found: list[dict[str, Any]] = json.loads(run(["node", "amplify.mjs"], make_node(folder / "node"), json.dumps(given)))
    return found


def sent_by_amplify(wire: Sequence[dict[str, Any]]) -> list[str]:
    """The ids of the events that Amplify made."""
    bodies = [json.loads(call["sent"]) for call in wire if call["path"].endswith("/events")]
    return [event_id for body in bodies for item in body["BatchItem"].values() for event_id in item["Events"]]


def wire_endpoints(wire: Sequence[dict[str, Any]]) -> set[str]:
    return {call["path"].rpartition("/")[2] for call in wire if "/endpoints/" in call["path"]}


def ask_cognito(url: str, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"AWSCognitoIdentityService.{operation}"}
    return parse(requests.post(url, json.dumps(body), headers=headers, timeout=10).text)


def is_refused(guest: Any) -> bool:
    try:
        guest.put_events(ApplicationId="shop", EventsRequest={"BatchItem": {}})
    except guest.exceptions.ClientError:
        return True
    return False


def send_signed(api: ApiProcess, key: dict[str, str], signed_for: str) -> requests.Response:
    """An empty PutEvents, signed for the host of this address and sent to ours."""
    path, headers = "/v1/apps/shop/events", {"content-type": "application/json"}
    request = AWSRequest("POST", signed_for + path, headers=headers, data=b'{"BatchItem":{}}')
    credentials = Credentials(key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"], key.get("TOKEN"))
    SigV4Auth(credentials, "mobiletargeting", "us-east-1").add_auth(request)
    return requests.post(api.url + path, b'{"BatchItem":{}}', headers=dict(request.headers), timeout=30)


def post_cbor(api: ApiProcess, key: dict[str, str], body: bytes) -> requests.Response:
    """PutRecords in CBOR, signed by botocore."""
    headers = {"content-type": "application/x-amz-cbor-1.1", "x-amz-target": "Kinesis_20131202.PutRecords"}
    request = AWSRequest("POST", f"{api.url}/", headers=headers, data=body)
    SigV4Auth(Credentials(key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"]), "kinesis", "us-east-1").add_auth(request)
    return requests.post(f"{api.url}/", body, headers=dict(request.headers), timeout=30)


def updated_endpoints(settings: Settings) -> set[str]:
    """The endpoints that stand in topic endpoint-updates."""
    consumer = confluent_kafka.Consumer(confluent_options(settings) | {"group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic_name(settings, ENDPOINT_UPDATES)])
    found: set[str] = set()
    empty = 0
    try:
        while empty < (3 if found else 20):
            message = consumer.poll(1)
            if message is None or message.error():
                empty += 1
            else:
                found.add(json.loads(message.value() or b"")["endpoint_id"])
    finally:
        consumer.close()
    return found
