"""PhoneNumberValidate: kinds of numbers of several countries, and what is no number."""

from typing import Any

import botocore.session
import pytest

from pipeline.api.phone_numbers import describe_number

SEATTLE: dict[str, Any] = {
    "OriginalPhoneNumber": "+1 (206) 555-0142",
    "CleansedPhoneNumberE164": "+12065550142",
    "CleansedPhoneNumberNational": "2065550142",
    "Country": "United States",
    "CountryCodeIso2": "US",
    "CountryCodeNumeric": "1",
    "PhoneType": "MOBILE",
    "PhoneTypeCode": 0,
    "Timezone": "America/Los_Angeles",
}


def test_number_is_described_as_pinpoint_does() -> None:
    assert describe_number("+1 (206) 555-0142", None) == SEATTLE


def test_answer_has_no_member_that_the_model_lacks_and_each_is_of_its_type() -> None:
    model = botocore.session.get_session().get_service_model("pinpoint").shape_for("NumberValidateResponse")
    found = describe_number("0151 23456789", "DE")
    assert set(found) <= set(model.members)
    assert {
        name for name, value in found.items() if model.members[name].type_name != ("integer" if type(value) is int else "string")
    } == set()
    assert (found["Carrier"], found["OriginalCountryCodeIso2"], found["Country"]) == ("T-Mobile", "DE", "Germany")


@pytest.mark.parametrize(
    ("number", "country", "kind"),
    [
        ("+4915123456789", None, ("MOBILE", 0)),
        ("+442083661177", None, ("LANDLINE", 1)),
        ("+4915123456789", "US", ("MOBILE", 0)),
        ("2065550142", "us", ("MOBILE", 0)),
        ("12065550142", None, ("MOBILE", 0)),
        ("+445612345678", None, ("VOIP", 2)),
        ("+18002530000", None, ("OTHER", 4)),
        ("+1206555", None, ("INVALID", 3)),
        ("2065550142", None, ("INVALID", 3)),
        ("abc", "US", ("INVALID", 3)),
        ("+999123456", None, ("INVALID", 3)),
        ("+", None, ("INVALID", 3)),
        ("2065550142", "QQ", ("INVALID", 3)),
    ],
)
def test_kind_of_a_number(number: str, country: str | None, kind: tuple[str, int]) -> None:
    found = describe_number(number, country)
    assert (found["PhoneType"], found["PhoneTypeCode"]) == kind
    assert found["OriginalPhoneNumber"] == number
    assert ("CleansedPhoneNumberE164" in found) == (kind[0] != "INVALID")


def test_time_zone_is_said_only_where_there_is_one() -> None:
    assert "Timezone" not in describe_number("+447400123456", None)
    assert describe_number("+33612345678", None)["Timezone"] == "Europe/Paris"
