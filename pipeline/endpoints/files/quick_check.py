"""Whether an endpoint is surely as it must be, in a tenth of the time that the exact reading takes: most rows of most files are."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

from agents.parsing.endpoint_shape import COHORTS

_Lists = dict[str, list[str] | None] | None
_Text = str | None
_COHORT_TEXTS = frozenset(map(str, range(COHORTS)))


class _Demographic(msgspec.Struct):
    AppVersion: _Text = None
    Locale: _Text = None
    Make: _Text = None
    Model: _Text = None
    ModelVersion: _Text = None
    Platform: _Text = None
    PlatformVersion: _Text = None
    Timezone: _Text = None


class _Location(msgspec.Struct):
    City: _Text = None
    Country: _Text = None
    Latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    Longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    PostalCode: _Text = None
    Region: _Text = None


class _User(msgspec.Struct):
    UserId: _Text = None
    UserAttributes: _Lists = None


class _Endpoint(msgspec.Struct):
    Id: _Text = None
    Address: _Text = None
    Attributes: _Lists = None
    ChannelType: (
        Literal["PUSH", "GCM", "APNS", "APNS_SANDBOX", "APNS_VOIP", "APNS_VOIP_SANDBOX"]
        | Literal["ADM", "SMS", "VOICE", "EMAIL", "BAIDU", "CUSTOM", "IN_APP"]
        | None
    ) = None
    CohortId: _Text = None
    CreationDate: _Text = None
    Demographic: _Demographic | None = None
    EffectiveDate: _Text = None
    EndpointStatus: Literal["ACTIVE", "INACTIVE"] | None = None
    Location: _Location | None = None
    Metrics: dict[str, float] | None = None
    OptOut: Literal["ALL", "NONE"] | None = None
    RequestId: _Text = None
    User: _User | None = None


_decode = msgspec.json.Decoder(_Endpoint).decode


def is_surely_sound(content: bytes) -> bool:
    """Whether `read_endpoint` takes this JSON text, as far as can be told at once. False says nothing: ask `read_endpoint`.

    The text is one that `parse_counted` took.
    """
    try:
        found = _decode(content)
    except msgspec.MsgspecError:
        return False
    if found.CohortId is not None and found.CohortId not in _COHORT_TEXTS:
        return False
    return _is_moment(found.EffectiveDate) and _is_moment(found.CreationDate)


def _is_moment(text: str | None) -> bool:
    if text is None:
        return True
    try:
        return 1900 < dt.datetime.fromisoformat(text).year < 9999
    except ValueError:
        return False
