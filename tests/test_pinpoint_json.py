"""A row of core.endpoints as Pinpoint's EndpointResponse: every member of the service's own model, and back again."""

import datetime as dt
from typing import Any

import botocore.session
import msgspec
import pytest

from agents.parsing.endpoint_shape import Endpoint, parse_endpoint
from pipeline.endpoints.pinpoint_json import endpoint_json

COLUMNS = (*Endpoint.__struct_fields__, "app_id", "endpoint_id", "updated_at")
WHEN = dt.datetime(2026, 11, 26, 5, 0, 0, 7_000, dt.UTC)
FULL: dict[str, Any] = {
    "app_id": "shop",
    "endpoint_id": "Phone/1",
    "channel_type": "EMAIL",
    "address": "a@example.com",
    "endpoint_status": "ACTIVE",
    "opt_out": "NONE",
    "effective_date": WHEN,
    "creation_date": WHEN - dt.timedelta(days=1),
    "request_id": "r1",
    "cohort_id": 7,
    "app_version": "2.5",
    "locale": "de_DE",
    "make": "apple",
    "model": "iPhone",
    "model_version": "15",
    "platform": "ios",
    "platform_version": "17.1",
    "timezone": "Europe/Berlin",
    "city": "Köln",
    "country": "DE",
    "region": "NRW",
    "postal_code": "50667",
    "latitude": 50.9,
    "longitude": 7.0,
    "user_id": "u1",
    "attributes": {"likes": ["tea", "cake"]},
    "metrics": {"visits": 3.0},
    "user_attributes": {"tier": ["gold"]},
}


def row(**given: Any) -> dict[str, Any]:
    """A row of core.endpoints: null where nothing is given."""
    maps: dict[str, Any] = {"attributes": {}, "metrics": {}, "user_attributes": {}}
    return dict.fromkeys(COLUMNS) | maps | given


def test_row_has_every_member_of_the_model_each_of_its_type() -> None:
    model = botocore.session.get_session().get_service_model("pinpoint").shape_for("EndpointResponse")
    found = endpoint_json(row(**FULL))

    def check(shape: Any, value: Any, path: str) -> None:
        if shape.type_name == "structure":
            assert set(value) == set(shape.members), path
            for name, member in shape.members.items():
                check(member, value[name], f"{path}.{name}")
        elif shape.type_name == "map":
            for each in value.values():
                check(shape.value, each, path)
        elif shape.type_name == "list":
            for each in value:
                check(shape.member, each, path)
        else:
            assert type(value) is {"string": str, "double": float}[shape.type_name], path

    check(model, found, "EndpointResponse")
    assert (found["CohortId"], found["EffectiveDate"], found["CreationDate"]) == (
        "7",
        "2026-11-26T05:00:00.007Z",
        "2026-11-25T05:00:00.007Z",
    )


def test_what_is_not_known_is_left_out() -> None:
    found = endpoint_json(row(app_id="shop", endpoint_id="p1", endpoint_status="ACTIVE", opt_out="NONE"))
    assert found == {"ApplicationId": "shop", "Id": "p1", "EndpointStatus": "ACTIVE", "OptOut": "NONE", "Attributes": {}, "Metrics": {}}


def test_endpoint_without_a_user_shows_the_attributes_that_are_its_own() -> None:
    assert endpoint_json(row(user_attributes={"tier": ["gold"]}))["User"] == {"UserAttributes": {"tier": ["gold"]}}
    assert endpoint_json(row(user_id="u1"))["User"] == {"UserId": "u1", "UserAttributes": {}}


def test_moment_without_a_zone_is_utc() -> None:
    assert endpoint_json(row(creation_date=WHEN.replace(tzinfo=None)))["CreationDate"] == "2026-11-26T05:00:00.007Z"


def test_members_that_no_column_holds_stand_at_their_own_path() -> None:
    extra = '{"Tier":1.50,"Demographic":{"Screen":{"w":9007199254740993}},"User":{"Nick":"x"},"Location":{"Floor":2}}'
    text = msgspec.json.encode(endpoint_json(row(make="apple", user_id="u1", extra=extra)))
    assert msgspec.json.decode(text) == {
        "Attributes": {},
        "Metrics": {},
        "Tier": 1.5,
        "Demographic": {"Make": "apple", "Screen": {"w": 9007199254740993}},
        "User": {"UserId": "u1", "UserAttributes": {}, "Nick": "x"},
        "Location": {"Floor": 2},
    }
    assert b"1.50" in text
    assert b"9007199254740993" in text


@pytest.mark.parametrize("extra", ['{"Address":"b"}', '{"User":{"UserId":"u2"}}', '{"Attributes":{"likes":["x"]}}', '{"User":"u2"}', "[1]"])
def test_no_extra_member_takes_the_place_of_a_known_one(extra: str) -> None:
    assert endpoint_json(row(**FULL, extra=extra)) == endpoint_json(row(**FULL))


def test_what_is_shown_reads_as_the_same_endpoint_again() -> None:
    extra = '{"Tier":1.50,"Demographic":{"Screen":3}}'
    text = msgspec.json.encode(endpoint_json(row(**FULL, extra=extra)))
    found = {name: value for name, value in msgspec.structs.asdict(parse_endpoint(text)).items() if name != "extra"}
    assert found == {name: value for name, value in FULL.items() if name not in {"app_id", "endpoint_id"}}
    assert msgspec.json.encode(parse_endpoint(text).extra) == b'{"Demographic":{"Screen":3},"Tier":1.50}'
