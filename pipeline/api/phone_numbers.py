"""PhoneNumberValidate: what a phone number says of itself, by the rules of numbering plans; no number is called or looked up.

Whether the number is in use, and by whom, only a carrier knows. `Carrier` is the one that the number was given to first.
"""

import asyncio
import functools
from typing import Any

import babel
import phonenumbers
from phonenumbers import PhoneNumberType
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.context import admit
from pipeline.api.definitions import parse_object, text_member
from pipeline.api.errors import bad_request, json_response
from pipeline.definitions.key import Scope

MOBILE, LANDLINE, VOIP, INVALID, OTHER = ("MOBILE", 0), ("LANDLINE", 1), ("VOIP", 2), ("INVALID", 3), ("OTHER", 4)
_TYPES = {
    PhoneNumberType.MOBILE: MOBILE,
    # In North America both look alike; who asks wants to know whether a message may be sent there.
    PhoneNumberType.FIXED_LINE_OR_MOBILE: MOBILE,
    PhoneNumberType.FIXED_LINE: LANDLINE,
    PhoneNumberType.VOIP: VOIP,
}
_UNKNOWN_ZONE = "Etc/Unknown"
_CHARACTERS_MAX = 250


async def validate_number(request: Request) -> Response:
    """PhoneNumberValidate. A number that no plan has is answered as INVALID, as Pinpoint does; a wrong request with 400."""
    admitted = await admit(request, Scope.READ, any_app=True)
    body = parse_object(admitted.body)
    number = text_member(body, "PhoneNumber")
    country = text_member(body, "IsoCountryCode") if body.get("IsoCountryCode") is not None else None
    if not number.strip() or len(number) > _CHARACTERS_MAX:
        raise bad_request(f"Field 'PhoneNumber' is {number[:80]!r}; expected a phone number, for example +12065550142.")
    if country is not None and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise bad_request(f"Field 'IsoCountryCode' is {country[:80]!r}; expected two letters of ISO 3166-1, for example US.")
    # Off the event loop: the first number of a country reads the country's plan from disk.
    return json_response(await asyncio.to_thread(describe_number, number, country))


def describe_number(number: str, country: str | None) -> dict[str, Any]:
    """Pinpoint's NumberValidateResponse. `country` is what a number without country code is read by.

    City, County and ZipCode are not said: a number has none.
    """
    original = {"OriginalPhoneNumber": number} | ({"OriginalCountryCodeIso2": country} if country is not None else {})
    found = _parse(number, country)
    if found is None or not phonenumbers.is_valid_number(found):
        return original | {"PhoneType": INVALID[0], "PhoneTypeCode": INVALID[1]}
    phone_type, code = _TYPES.get(phonenumbers.number_type(found), OTHER)
    region = phonenumbers.region_code_for_number(found)
    answer = {
        **original,
        "CleansedPhoneNumberE164": phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164),
        "CleansedPhoneNumberNational": phonenumbers.national_significant_number(found),
        "CountryCodeNumeric": str(found.country_code),
        "PhoneType": phone_type,
        "PhoneTypeCode": code,
    }
    if region in _country_names():
        answer |= {"CountryCodeIso2": region, "Country": _country_names()[region]}
    # They hold 45 MB: only for those who ask.
    from phonenumbers import carrier, timezone

    zones = [zone for zone in timezone.time_zones_for_number(found) if zone != _UNKNOWN_ZONE]
    if len(zones) == 1:
        answer["Timezone"] = zones[0]
    name = carrier.name_for_number(found, "en")
    return answer | ({"Carrier": name} if name else {})


def _parse(number: str, country: str | None) -> phonenumbers.PhoneNumber | None:
    """The number; one without a plus sign and without a country starts with its country code, as Pinpoint reads it."""
    text = number.strip()
    if country is None and not text.startswith("+"):
        text = f"+{text}"
    try:
        return phonenumbers.parse(text, country.upper() if country is not None else None)
    except phonenumbers.NumberParseException:
        return None


@functools.cache
def _country_names() -> dict[str, str]:
    """English names by ISO code: the library of numbers has them too, among 150 MB of places."""
    return {code: str(name) for code, name in babel.Locale("en").territories.items()}
