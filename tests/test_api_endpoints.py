"""Endpoints over the API, by boto3 as it is: written, landed by a real worker, shown with the moment as of which, deleted; and what is refused."""

import datetime as dt
import functools
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.api.shown import AS_OF
from pipeline.config import Settings, load_settings
from pipeline.definitions.database import open_definitions
from pipeline.definitions.guests import allow_guests
from pipeline.definitions.key import Scope
from pipeline.stack.readiness import ensure_bucket
from pipeline.topics import ensure_topics
from pipeline.topology import ENDPOINT_UPDATES, RAW_EVENTS, REJECTED_EVENTS
from tests.api_process import ApiProcess, client, make_access_key, make_app, serving
from tests.conftest import headwater
from tests.tcp_proxy import proxy_to
from tests.test_api import Door
from tests.worker_process import WorkerProcess, running, wait_until

FULL: dict[str, Any] = {
    "Address": "a@example.com",
    "ChannelType": "EMAIL",
    "Attributes": {"likes": ["tea", "cake"]},
    "Metrics": {"visits": 3.0},
    "Demographic": {"AppVersion": "2.5", "Locale": "de_DE", "Make": "apple", "Platform": "ios", "Timezone": "Europe/Berlin"},
    "EffectiveDate": "2026-01-01T00:00:00.007Z",
    "EndpointStatus": "ACTIVE",
    "Location": {"City": "Köln", "Country": "DE", "Latitude": 50.9, "Longitude": 7.0},
    "OptOut": "NONE",
    "RequestId": "r1",
    "User": {"UserId": "u1", "UserAttributes": {"tier": ["gold"]}},
}


class Shop:
    """App shop of one test's API, asked by boto3 with a key that may do everything, or with that of a role."""

    def __init__(self, api: ApiProcess) -> None:
        self.api, self.settings = api, api.settings
        self.pinpoint = client("pinpoint", api, make_access_key(self.settings, "shop"))

    def put(self, endpoint_id: str, **endpoint: Any) -> dt.datetime:
        """Update an endpoint; returns when it was accepted, or a little later."""
        self.pinpoint.update_endpoint(ApplicationId="shop", EndpointId=endpoint_id, EndpointRequest=endpoint)
        return dt.datetime.now(dt.UTC)

    def show(self, endpoint_id: str) -> tuple[dict[str, Any] | None, dt.datetime]:
        """The endpoint, None where there is none, and as of when."""
        return self._ask(lambda: self.pinpoint.get_endpoint(ApplicationId="shop", EndpointId=endpoint_id), "EndpointResponse")

    def show_user(self, user_id: str) -> tuple[dict[str, Any] | None, dt.datetime]:
        return self._ask(lambda: self.pinpoint.get_user_endpoints(ApplicationId="shop", UserId=user_id), "EndpointsResponse")

    def show_since(self, endpoint_id: str, moment: dt.datetime) -> dict[str, Any] | None:
        """The endpoint, as soon as the header says that everything until `moment` is in it."""
        return self._wait(lambda: self.show(endpoint_id), moment)

    def show_user_since(self, user_id: str, moment: dt.datetime) -> list[str]:
        """Ids of the user's endpoints, as soon as the header says so."""
        found = self._wait(lambda: self.show_user(user_id), moment)
        return [] if found is None else sorted(each["Id"] for each in found["Item"])

    def _wait(self, ask: Callable[[], tuple[dict[str, Any] | None, dt.datetime]], moment: dt.datetime) -> dict[str, Any] | None:
        found: list[dict[str, Any] | None] = []

        def is_shown() -> bool:
            answer, as_of = ask()
            found[:] = [answer]
            return as_of >= moment

        wait_until(is_shown, f"the header says {moment}")
        return found[0]

    def _ask(self, call: Callable[[], Any], member: str) -> tuple[dict[str, Any] | None, dt.datetime]:
        try:
            answer = call()
            return answer[member], read_as_of(answer)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NotFoundException":
                raise
            return None, read_as_of(error.response)


def read_as_of(answer: Any) -> dt.datetime:
    return dt.datetime.fromisoformat(answer["ResponseMetadata"]["HTTPHeaders"][AS_OF])


def refusal(call: Callable[[], Any]) -> tuple[int, str, str]:
    """Status, AWS's name and message of what a call is refused with."""
    with pytest.raises(ClientError) as error:
        call()
    found = error.value.response
    return found["ResponseMetadata"]["HTTPStatusCode"], found["Error"]["Code"], found["Error"]["Message"]


def wait_until_shown(shop: Shop) -> None:
    """Until endpoints are loaded."""

    def is_loaded() -> bool:
        try:
            shop.show("nobody")
        except ClientError as error:
            # The one that SDKs try again, and no other.
            if error.response["Error"]["Code"] != "InternalServerErrorException":
                raise
            return False
        return True

    wait_until(is_loaded, "endpoints are loaded")


@pytest.fixture(scope="module")
def scene(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Topics and a lake for all tests of this file, and a worker that lands what comes."""
    import shutil

    folder = tmp_path_factory.mktemp("endpoints")
    shutil.copy(stack.secrets_file, folder)
    name = uuid.uuid4().hex[:12]
    settings = load_settings(
        home=folder,
        port_offset=stack.port_offset,
        s3_bucket=f"t-{name}",
        topic_prefix=f"t-{name}-",
        worker_group=f"t-{name}",
        topic_partitions=2,
        message_bytes_max=50_000,
        flush_secs_max=0.3,
    )
    ensure_bucket(settings)
    ensure_topics(settings)
    make_app(settings, "shop")
    make_app(settings, "news")
    with running(WorkerProcess(settings, folder)):
        yield settings


@pytest.fixture(scope="module")
def shared(scene: Settings) -> Iterator[Shop]:
    with serving(ApiProcess(scene, scene.home)) as api:
        shop = Shop(api)
        wait_until_shown(shop)
        yield shop


@pytest.fixture
def shop(shared: Shop) -> Shop:
    return shared


@contextmanager
def rigged(scene: Settings, rig: str) -> Iterator[Shop]:
    """An API on the same lake that lacks a guard."""
    with serving(ApiProcess(scene, scene.home, "tests.rigged_endpoints_api", RIG=rig)) as api:
        shop = Shop(api)
        wait_until_shown(shop)
        yield shop


@pytest.fixture
def name() -> str:
    """A part of ids that no other test has."""
    return uuid.uuid4().hex[:8]


def test_update_is_shown_whole_as_soon_as_the_header_says_so(shop: Shop, name: str) -> None:
    accepted = shop.put(name, **FULL)
    found = shop.show_since(name, accepted)
    assert found is not None
    assert {member: found[member] for member in FULL} == FULL
    assert (found["Id"], found["ApplicationId"]) == (name, "shop")
    assert 0 <= int(found["CohortId"]) < 100
    assert dt.datetime.fromisoformat(found["CreationDate"]) <= accepted


def test_header_never_promises_what_the_answer_lacks(scene: Settings, shop: Shop, name: str) -> None:
    def count_broken_promises(on: Shop) -> int:
        broken = 0
        for number in range(10):
            accepted = on.put(name, Attributes={"n": [str(number)]})
            is_due = False
            while not is_due:
                found, as_of = on.show(name)
                is_due = as_of >= accepted
                broken += is_due and (found is None or found["Attributes"] != {"n": [str(number)]})
        return broken

    assert count_broken_promises(shop) == 0
    with rigged(scene, "hasty-as-of") as control:
        assert count_broken_promises(control) > 0


def test_header_moves_on_while_nothing_comes(shop: Shop) -> None:
    first = shop.show("nobody")[1]
    wait_until(lambda: shop.show("nobody")[1] > first, "the header moves on")


def test_ids_that_differ_in_case_are_one_endpoint_and_slashes_are_part_of_it(shop: Shop, name: str) -> None:
    shop.put(f"{name}/A 1 é%2F", Address="a")
    accepted = shop.put(f"{name}/a 1 É%2f", ChannelType="EMAIL")
    found = shop.show_since(f"{name.upper()}/A 1 é%2F", accepted)
    assert found is not None
    assert (found["Address"], found["ChannelType"]) == ("a", "EMAIL")


def test_endpoint_of_another_app_is_not_shown(shop: Shop, name: str) -> None:
    accepted = shop.put(name, Address="a")
    assert shop.show_since(name, accepted) is not None
    news = client("pinpoint", shop.api, make_access_key(shop.settings, "news"))
    assert refusal(lambda: news.get_endpoint(ApplicationId="news", EndpointId=name))[:2] == (404, "NotFoundException")


def test_batch_is_taken_whole_beyond_pinpoints_hundred(shop: Shop, name: str) -> None:
    items = [{"Id": f"{name}-{number}", "Address": str(number), "User": {"UserId": name}} for number in range(150)]
    answer = shop.pinpoint.update_endpoints_batch(ApplicationId="shop", EndpointBatchRequest={"Item": items})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["MessageBody"]["Message"] == "Accepted"
    assert shop.show_user_since(name, dt.datetime.now(dt.UTC)) == sorted(str(each["Id"]) for each in items)


def test_bad_items_of_a_batch_are_named_and_kept_and_the_good_ones_accepted(shop: Shop, name: str) -> None:
    door = Door(shop.api, shop.settings)
    for topic in (RAW_EVENTS, ENDPOINT_UPDATES, REJECTED_EVENTS):
        door.written(topic)
    items = [
        {"Id": f"{name}-0", "Address": "a"},
        {"Id": f"{name}-1", "OptOut": "MAYBE"},
        {"Address": "no id"},
        "text",
        {"Id": 5},
        {"Id": f"{name}-5", "Address": "b", "Location": {"Latitude": 91}},
        {"Id": f"{name}-6", "Address": "x" * 60_000},
        {"Id": f"{name}-7", "Address": "c"},
    ]
    status, headers, answer = door.ask("PUT", "/v1/apps/shop/endpoints", {"Item": items})
    assert (status, headers["x-amzn-errortype"]) == (400, "BadRequestException")
    assert answer["Message"].startswith("2 of 8 endpoints are accepted.")
    for part in (
        "item 1: Field 'OptOut' is \"MAYBE\"",
        "item 2: Field 'Id' is missing",
        "item 3:",
        "item 4: Field 'Id' is 5",
        "item 5:",
        "item 6:",
    ):
        assert part in answer["Message"]
    accepted = dt.datetime.now(dt.UTC)
    assert [value["endpoint_id"] for value in door.values(ENDPOINT_UPDATES)] in ([f"{name}-0", f"{name}-7"], [f"{name}-7", f"{name}-0"])
    kept = door.values(REJECTED_EVENTS)
    assert sorted(str(value["endpoint_id"]) for value in kept) == sorted(["None", "None", "None", f"{name}-1", f"{name}-5", f"{name}-6"])
    assert {json.loads(value["value"])["OptOut"] for value in kept if value["endpoint_id"] == f"{name}-1"} == {"MAYBE"}
    assert shop.show_since(f"{name}-7", accepted) is not None
    assert shop.show_since(f"{name}-1", accepted) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [(b'{"Item":', "no batch of endpoints"), ({"Item": 5}, "no batch of endpoints"), ({}, "no batch of endpoints"), (b"[]", "no batch")],
)
def test_body_that_is_no_batch_is_refused_and_kept(shop: Shop, body: Any, said: str) -> None:
    door = Door(shop.api, shop.settings)
    door.written(REJECTED_EVENTS)
    status, _, answer = door.ask("PUT", "/v1/apps/shop/endpoints", body)
    assert status == 400
    assert said in answer["Message"]
    assert len(door.values(REJECTED_EVENTS)) == 1


def test_what_is_accepted_is_no_dead_letter_however_near_the_bounds(shop: Shop, name: str) -> None:
    door = Door(shop.api, shop.settings)
    bytes_max = shop.settings.message_bytes_max

    def nested(depth: int) -> bytes:
        return b'{"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    taken = []
    for number, body in enumerate(
        [
            *(nested(depth) for depth in (62, 63, 64, 65)),
            *(b'{"Address":"%s"}' % (b"x" * (bytes_max - less)) for less in (14, 100, 400, 1000)),
        ]
    ):
        status = door.ask("PUT", f"/v1/apps/shop/endpoints/{name}-{number}", body)[0]
        assert status in (202, 400)
        if status == 202:
            taken.append(number)
    assert {0, 7} <= set(taken), "the bounds are refused too early"
    assert not {3, 4} & set(taken), "the bounds are not looked at"
    accepted = dt.datetime.now(dt.UTC)
    assert [number for number in taken if shop.show_since(f"{name}-{number}", accepted) is None] == []


def test_deleted_endpoint_is_gone_and_comes_anew(shop: Shop, name: str) -> None:
    shop.show_since(name, shop.put(name, **FULL))
    answer = shop.pinpoint.delete_endpoint(ApplicationId="shop", EndpointId=name.upper())
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["EndpointResponse"]["Address"] == "a@example.com"
    assert shop.show_since(name, dt.datetime.now(dt.UTC)) is None
    found = shop.show_since(name, shop.put(name, Address="b"))
    assert found is not None
    assert (found["Address"], found["Attributes"]) == ("b", {})


def test_endpoint_that_is_not_shown_yet_can_be_deleted(shop: Shop, name: str) -> None:
    shop.put(name, Address="a")
    answer = shop.pinpoint.delete_endpoint(ApplicationId="shop", EndpointId=name)
    assert answer["EndpointResponse"] == {"ApplicationId": "shop", "Id": name}
    assert shop.show_since(name, dt.datetime.now(dt.UTC)) is None


def test_user_is_deleted_with_every_endpoint_that_was_accepted_before_and_without_the_wait_one_is_left_over(
    scene: Settings, shop: Shop, name: str
) -> None:
    def delete_at_once(on: Shop, user_id: str) -> list[str]:
        """Endpoints that are left over."""
        on.show_since(f"{user_id}-0", on.put(f"{user_id}-0", Address="a", User={"UserId": user_id, "UserAttributes": {"tier": ["gold"]}}))
        on.put(f"{user_id}-1", Address="b", User={"UserId": user_id})
        on.pinpoint.delete_user_endpoints(ApplicationId="shop", UserId=user_id)
        return on.show_user_since(user_id, dt.datetime.now(dt.UTC))

    assert delete_at_once(shop, name) == []
    with rigged(scene, "no-wait") as control:
        assert delete_at_once(control, f"{name}-control") == [f"{name}-control-1"]
        # Known as the user's yet when the deletes are written, and another's by then: the delete says whose it is for.
        moved = f"{name}-moved"
        control.show_since(moved, control.put(moved, Address="a", User={"UserId": moved}))
        control.put(moved, User={"UserId": f"{moved}-to"})
        control.pinpoint.delete_user_endpoints(ApplicationId="shop", UserId=moved)
        assert control.show_user_since(f"{moved}-to", dt.datetime.now(dt.UTC)) == [moved]
    # Their attributes are forgotten too.
    found = shop.show_since(name, shop.put(name, Address="c", User={"UserId": name}))
    assert found is not None
    assert found["User"] == {"UserId": name, "UserAttributes": {}}


def test_user_ids_are_compared_letter_by_letter(shop: Shop, name: str) -> None:
    shop.put(f"{name}-0", Address="a", User={"UserId": f"{name}/u"})
    accepted = shop.put(f"{name}-1", Address="b", User={"UserId": f"{name}/U"})
    assert shop.show_user_since(f"{name}/u", accepted) == [f"{name}-0"]
    assert shop.show_user_since(f"{name}/U", accepted) == [f"{name}-1"]
    assert shop.show_user_since(f"{name}/x", accepted) == []


def test_deletion_that_cannot_know_everything_in_time_changes_nothing(scene: Settings, shop: Shop, name: str) -> None:
    shop.show_since(name, shop.put(name, Address="a", User={"UserId": name}))
    with serving(ApiProcess(scene, scene.home, HEADWATER_API_ENDPOINTS_FRESH_SECS="0.1", HEADWATER_API_ENDPOINTS_REFRESH_SECS="3")) as api:
        hasty = Shop(api)
        wait_until_shown(hasty)
        status, kind, message = refusal(lambda: hasty.pinpoint.delete_user_endpoints(ApplicationId="shop", UserId=name))
        assert (status, kind) == (500, "InternalServerErrorException")
        assert "Nothing was changed" in message
        assert "HEADWATER_API_ENDPOINTS_FRESH_SECS" in message
    assert shop.show_user_since(name, dt.datetime.now(dt.UTC)) == [name]


def is_too_old(ask: Callable[[], Any]) -> bool:
    return "HEADWATER_API_ENDPOINTS_STALE_SECS" in refusal(ask)[2]


def test_what_is_too_old_is_no_answer_and_says_how_old_and_why(scene: Settings, shop: Shop, name: str) -> None:
    accepted = shop.put(name, Address="a", User={"UserId": name})
    assert shop.show_since(name, accepted) is not None
    # What is known is a second old at least, however well all goes.
    with serving(ApiProcess(scene, scene.home, HEADWATER_API_ENDPOINTS_STALE_SECS="0.5")) as api:
        old = Shop(api)
        for ask in (functools.partial(old.show, name), functools.partial(old.show_user, "nobody")):
            wait_until(functools.partial(is_too_old, ask), "endpoints are loaded")
            status, kind, message = refusal(ask)
            assert (status, kind) == (500, "InternalServerErrorException")
            assert "Endpoints are known as of 2" in message
            assert " s ago" in message
            assert "see that a worker runs" in message
        # What changes endpoints needs nothing that is known.
        assert old.pinpoint.delete_endpoint(ApplicationId="shop", EndpointId=name)["ResponseMetadata"]["HTTPStatusCode"] == 202


def test_reads_and_deletions_count_against_the_rate_of_a_key(shop: Shop, name: str) -> None:
    def ask_twice(call: str, **given: Any) -> list[str]:
        """What a key that may one thing in a hundred seconds is told."""
        slow = client("pinpoint", shop.api, make_access_key(shop.settings, "shop", events_per_sec=0.01))
        return [refusal(lambda: getattr(slow, call)(ApplicationId="shop", **given))[1] for _ in range(2)]

    for call, given in (("get_endpoint", {"EndpointId": name}), ("get_user_endpoints", {"UserId": name})):
        assert ask_twice(call, **given) == ["NotFoundException", "TooManyRequestsException"]
    slow = client("pinpoint", shop.api, make_access_key(shop.settings, "shop", events_per_sec=0.01))
    slow.delete_user_endpoints(ApplicationId="shop", UserId=name)
    assert refusal(lambda: slow.delete_user_endpoints(ApplicationId="shop", UserId=name))[1] == "TooManyRequestsException"


def test_removed_attributes_are_taken_no_more_and_what_is_there_stays(shop: Shop, name: str) -> None:
    shop.show_since(f"{name}-0", shop.put(f"{name}-0", Attributes={f"{name}-x": ["1"], f"{name}-y": ["1"], "z": ["1"]}))
    names = [f"{name}-*"]
    answer = shop.pinpoint.remove_attributes(
        ApplicationId="shop", AttributeType="endpoint-custom-attributes", UpdateAttributesRequest={"Blacklist": names}
    )
    assert answer["AttributesResource"] == {"ApplicationId": "shop", "AttributeType": "endpoint-custom-attributes", "Attributes": names}
    shop.put(f"{name}-0", Attributes={f"{name}-x": ["2"], "z": ["2"]})
    accepted = shop.put(f"{name}-1", Attributes={f"{name}-y": ["1"], "z": ["1"]})
    first, second = shop.show_since(f"{name}-0", accepted), shop.show_since(f"{name}-1", accepted)
    assert first is not None
    assert second is not None
    assert first["Attributes"] == {f"{name}-x": ["1"], f"{name}-y": ["1"], "z": ["2"]}
    assert second["Attributes"] == {"z": ["1"]}


def test_phone_number_is_validated(shop: Shop) -> None:
    found = shop.pinpoint.phone_number_validate(NumberValidateRequest={"PhoneNumber": "206 555 0142", "IsoCountryCode": "US"})
    assert found["NumberValidateResponse"]["CleansedPhoneNumberE164"] == "+12065550142"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/v1/apps/shop/endpoints/", b"", 400, "expected an endpoint's id"),
        ("PUT", "/v1/apps/shop/endpoints/", {}, 400, "expected an endpoint's id"),
        ("GET", "/v1/apps/shop/users/", b"", 400, "expected a user's id"),
        ("PUT", "/v1/apps/shop/endpoints/e", {"ChannelType": "PIGEON"}, 400, "Field 'ChannelType' is \"PIGEON\"; expected one of PUSH"),
        ("PUT", "/v1/apps/shop/endpoints/e", b"nonsense", 400, "not JSON"),
        ("PUT", "/v1/apps/shop/attributes/colours", {"Blacklist": ["x"]}, 400, "'colours'; expected one of endpoint-custom-attributes"),
        ("PUT", "/v1/apps/shop/attributes/endpoint-custom-attributes", {}, 400, "Field 'Blacklist' is missing; expected a list"),
        ("PUT", "/v1/apps/shop/attributes/endpoint-custom-attributes", {"Blacklist": []}, 400, "Field 'Blacklist' is []"),
        ("PUT", "/v1/apps/shop/attributes/endpoint-custom-attributes", {"Blacklist": ["a", 5]}, 400, "Field 'Blacklist[1]' is 5"),
        ("PUT", "/v1/apps/shop/attributes/endpoint-custom-attributes", {"Blacklist": ["x" * 60_000]}, 400, "Field 'Blacklist' makes"),
        ("PUT", "/v1/apps/nowhere/endpoints", {"Item": []}, 404, "App 'nowhere' is not there"),
        ("GET", "/v1/apps/nowhere/endpoints/e", b"", 404, "App 'nowhere' is not there"),
        ("DELETE", "/v1/apps/nowhere/endpoints/e", b"", 404, "App 'nowhere' is not there"),
        ("GET", "/v1/apps/nowhere/users/e", b"", 404, "App 'nowhere' is not there"),
        ("DELETE", "/v1/apps/nowhere/users/e", b"", 404, "App 'nowhere' is not there"),
        ("PUT", "/v1/apps/nowhere/attributes/endpoint-user-attributes", {"Blacklist": ["x"]}, 404, "App 'nowhere' is not there"),
        ("GET", "/v1/apps/shop/endpoints/never-seen", b"", 404, "Endpoint 'never-seen' is not there"),
        ("GET", "/v1/apps/shop/users/never-seen", b"", 404, "User 'never-seen' is not there"),
        ("POST", "/v1/phone/number/validate", {}, 400, "Field 'PhoneNumber' is missing"),
        ("POST", "/v1/phone/number/validate", {"PhoneNumber": " "}, 400, "Field 'PhoneNumber' is ' '"),
        ("POST", "/v1/phone/number/validate", {"PhoneNumber": "+1", "IsoCountryCode": "USA"}, 400, "Field 'IsoCountryCode' is 'USA'"),
    ],
)
def test_bad_request_is_answered_with_field_value_and_what_was_expected(
    shop: Shop, method: str, path: str, body: Any, status: int, said: str
) -> None:
    door = Door(shop.api, shop.settings)
    key = {"authorization": f"Bearer {write_key_for_everything(shop.settings)}"}
    found, headers, answer = door.ask(method, path, body, key)
    assert found == status
    assert said in answer["Message"]
    assert headers["x-amzn-errortype"] == ("BadRequestException" if status == 400 else "NotFoundException")


def write_key_for_everything(settings: Settings) -> str:
    from tests.api_process import make_write_key

    return make_write_key(settings, None, scopes=frozenset(Scope))


# Every call, and the scope that it needs.
CALLS: list[tuple[str, Scope, dict[str, Any]]] = [
    ("update_endpoint", Scope.INGEST, {"EndpointId": "scoped", "EndpointRequest": {"Address": "a"}}),
    ("update_endpoints_batch", Scope.INGEST, {"EndpointBatchRequest": {"Item": [{"Id": "scoped", "Address": "a"}]}}),
    ("get_endpoint", Scope.READ, {"EndpointId": "scoped"}),
    ("get_user_endpoints", Scope.READ, {"UserId": "scoped"}),
    ("delete_endpoint", Scope.MANAGE, {"EndpointId": "scoped"}),
    ("delete_user_endpoints", Scope.MANAGE, {"UserId": "scoped"}),
    (
        "remove_attributes",
        Scope.MANAGE,
        {"AttributeType": "endpoint-custom-attributes", "UpdateAttributesRequest": {"Blacklist": ["scoped"]}},
    ),
]


def denied(api: ApiProcess, key: tuple[str, str], app_id: str = "shop") -> set[str]:
    """The calls that a key may not make."""
    pinpoint, found = client("pinpoint", api, key), set()
    for call, _, given in CALLS:
        try:
            getattr(pinpoint, call)(ApplicationId=app_id, **given)
        except ClientError as error:
            if error.response["Error"]["Code"] == "AccessDeniedException":
                found.add(call)
    return found


def test_each_call_needs_its_scope_and_its_app(scene: Settings, shop: Shop) -> None:
    everything = {call for call, _, _ in CALLS}
    for scope in Scope:
        key = make_access_key(shop.settings, "shop", frozenset({scope}))
        assert denied(shop.api, key) == {call for call, needed, _ in CALLS if needed is not scope}
    assert denied(shop.api, make_access_key(shop.settings, "news")) == everything
    assert denied(shop.api, make_access_key(shop.settings)) == set()
    with rigged(scene, "any-key") as control:
        assert denied(control.api, make_access_key(shop.settings, "news", frozenset({Scope.INGEST}))) == set()


def test_guest_may_update_endpoints_and_neither_see_nor_delete_any(shop: Shop) -> None:
    import boto3

    with open_definitions(shop.settings).begin() as connection:
        pool_id = allow_guests(connection, "shop")
    cognito = client("cognito-identity", shop.api, ("", ""))
    identity = cognito.get_id(IdentityPoolId=pool_id)["IdentityId"]
    given = cognito.get_credentials_for_identity(IdentityId=identity)["Credentials"]
    guest = boto3.client(
        "pinpoint", endpoint_url=shop.api.url, region_name="us-east-1", aws_session_token=given["SessionToken"],
        aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretKey"],
    )  # fmt: skip
    for call, scope, arguments in CALLS:
        if scope is Scope.INGEST:
            getattr(guest, call)(ApplicationId="shop", **arguments)
        else:
            denied_call = functools.partial(getattr(guest, call), ApplicationId="shop", **arguments)
            assert refusal(denied_call)[1] == "AccessDeniedException"


def test_what_the_api_shows_is_what_sql_says(shop: Shop, name: str) -> None:
    shop.put(name, **FULL)
    shop.put(f"{name}-2", Address="x", User={"UserId": "u1", "UserAttributes": {"tier": ["silver"]}})
    door = Door(shop.api, shop.settings)
    assert (
        door.ask("PUT", f"/v1/apps/shop/endpoints/{name}", {"Attributes": {"likes": [], "shoe": ["42"]}, "Unknown": {"x": [1.5]}})[0] == 202
    )
    accepted = dt.datetime.now(dt.UTC)
    found = shop.show_since(name, accepted)
    assert found is not None
    columns = (
        "address, channel_type, cohort_id, creation_date, effective_date, attributes, metrics, user_id, user_attributes, locale, latitude"
    )
    answer = headwater(shop.settings, "sql", f"select {columns} from core.endpoints where endpoint_id = '{name}'", "--json")
    assert answer.returncode == 0, answer.stderr
    (row,) = json.loads(answer.stdout)
    assert found["User"] == {"UserId": row["user_id"], "UserAttributes": row["user_attributes"]}
    assert found["User"]["UserAttributes"] == {"tier": ["silver"]}
    assert (found["Address"], found["ChannelType"], found["CohortId"]) == (row["address"], row["channel_type"], str(row["cohort_id"]))
    assert (found["Attributes"], found["Metrics"]) == (row["attributes"], row["metrics"])
    assert (found["Demographic"]["Locale"], found["Location"]["Latitude"]) == (row["locale"], row["latitude"])
    for member, column in (("CreationDate", "creation_date"), ("EffectiveDate", "effective_date")):
        assert dt.datetime.fromisoformat(found[member]) == dt.datetime.fromisoformat(row[column])


def test_browser_may_see_as_of_when(shop: Shop) -> None:
    door = Door(shop.api, shop.settings)
    key = {"authorization": f"Bearer {write_key_for_everything(shop.settings)}", "origin": "https://a.example"}
    _, headers, _ = door.ask("GET", "/v1/apps/shop/endpoints/nobody", b"", key)
    assert AS_OF in headers["access-control-expose-headers"]
    assert AS_OF in headers


def test_metrics_say_how_many_endpoints_there_are_and_how_old_what_is_shown_is(shop: Shop, name: str) -> None:
    shop.show_since(name, shop.put(name, Address="a"))
    found = read_metrics(shop.api)
    assert found["headwater_api_endpoints"] >= 1
    assert found["headwater_api_endpoint_updates_merged_total"] >= 1
    assert 0 <= found["headwater_api_endpoints_age_seconds"] < 60


def read_metrics(api: ApiProcess) -> dict[str, float]:
    import urllib.request

    with urllib.request.urlopen(f"{api.url}/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line.startswith("headwater_api_endpoint")]
    return {line.split()[0]: float(line.split()[1]) for line in lines}


def spill_folders(settings: Settings) -> list[Path]:
    return list((settings.home / "spill").glob("headwater-*"))


def test_api_that_starts_again_loads_everything_and_leaves_no_folder(scene: Settings, shop: Shop, name: str) -> None:
    shop.show_since(name, shop.put(name, **FULL))
    with serving(ApiProcess(scene, scene.home)) as api:
        wait_until_shown(Shop(api))
        living = len(spill_folders(scene))
        api.kill()
        with serving(api):
            again = Shop(api)
            wait_until_shown(again)
            assert again.show(name)[0] == shop.show(name)[0]
            # What the killed one left was removed.
            assert len(spill_folders(scene)) == living
            assert api.stop() == 0
    assert len(spill_folders(scene)) == living - 1


def test_while_s3_is_away_reads_go_on_and_the_header_stands_still(scene: Settings, shop: Shop, name: str) -> None:
    shop.show_since(name, shop.put(name, Address="before"))
    with ExitStack() as proxies:
        s3 = proxies.enter_context(proxy_to(scene.s3_port))
        store = {
            "HEADWATER_S3_ENDPOINT": f"http://127.0.0.1:{s3.port}",
            "HEADWATER_S3_ACCESS_KEY_ID": scene.local_secret("s3", "writer", "access_key_id"),
            "HEADWATER_S3_SECRET_ACCESS_KEY": scene.local_secret("s3", "writer", "secret_access_key"),
        }
        api = proxies.enter_context(serving(ApiProcess(scene, scene.home, HEADWATER_ACK_SECS_MAX="1", **store)))
        away = Shop(api)
        wait_until_shown(away)
        s3.cut()
        failures = read_metrics(api)["headwater_api_endpoints_failures_total"]
        wait_until(lambda: read_metrics(api)["headwater_api_endpoints_failures_total"] >= failures + 2, "S3 is missed")
        stood = away.show(name)[1]
        accepted = away.put(name, Address="meanwhile")
        found, as_of = away.show(name)
        assert found is not None
        assert (found["Address"], as_of) == ("before", stood)
        said = [line for line in api.log.read_text().splitlines() if "Endpoints are shown as of" in line]
        assert len(said) <= 3, "it is said once"
        s3.mend()
        found = away.show_since(name, accepted)
        assert found is not None
        assert found["Address"] == "meanwhile"
        assert "Endpoints are followed again." in api.log.read_text()


def test_without_kafka_nothing_is_accepted_and_nobody_is_told_so(scene: Settings, tmp_path: Path) -> None:
    with serving(ApiProcess(scene, tmp_path, HEADWATER_KAFKA="127.0.0.1:1", HEADWATER_ACK_SECS_MAX="1")) as api:
        pinpoint = client("pinpoint", api, make_access_key(scene, "shop"))
        for call, scope, given in CALLS:
            if call == "delete_user_endpoints":
                continue
            status, kind, message = refusal(functools.partial(getattr(pinpoint, call), ApplicationId="shop", **given))
            assert (status, kind) == (500, "InternalServerErrorException"), call
            assert ("Not stored" in message) == (scope is not Scope.READ)
            assert ("cannot be shown yet" in message) == (scope is Scope.READ)
