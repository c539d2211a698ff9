"""The enrichments in the order in which they are applied: what each reads and fills, and one example of before and after."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.enrichment.clock_skew import AS_SENT, CORRECTED

FOLDER = Path(__file__).parent

CAMPAIGN_ATTRIBUTES = (
    "campaign_id",
    "campaign_activity_id",
    "treatment_id",
    "journey_id",
    "journey_run_id",
    "journey_activity_id",
    "message_id",
    "delivery_type",
    "journey_activity_type",
)


@dataclass(frozen=True, eq=False)
class Enrichment:
    """One enrichment: `<name>.sql`, a bare select over `input`, which returns every column of `input`; or, `is_columnar`, `<name>.py`,
    a function over whole columns.

    `reads` are columns of PARSED, of the lookups (agent_*, internal_rule), or attribute_<name> for an attribute of the event;
    `fills` are columns of the table events. `is_per_sender`: it sees one row for each distinct sender of the batch, a sender
    being all that the per-sender enrichments read (device, locale, user agent); otherwise one row for each event, where one stands
    for all events of its type that have nothing else that these enrichments read. So what it fills must follow from what it reads.
    `before` is a part of a parsed record and `after` the columns that come of it with only this enrichment on.
    """

    name: str
    summary: str
    is_per_sender: bool
    reads: tuple[str, ...]
    fills: tuple[str, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    is_columnar: bool = False

    @property
    def file_name(self) -> str:
        return self.name.replace("-", "_") + (".py" if self.is_columnar else ".sql")

    @property
    def sql(self) -> str:
        assert not self.is_columnar, f"enrichment {self.name} is no select"
        return (FOLDER / self.file_name).read_text()


ENRICHMENTS = (
    Enrichment(
        name="user-agent",
        summary=(
            "Fills platform, platform_version, make and model from the user agent (ua-parser) when the record has no platform, make "
            "or model, and always browser. A device that the client described is left alone."
        ),
        is_per_sender=True,
        reads=(
            *("platform", "platform_version", "make", "model"),
            *("agent_platform", "agent_platform_version", "agent_make", "agent_model", "agent_browser"),
        ),
        fills=("platform", "platform_version", "make", "model", "browser"),
        before={
            "platform": None,
            "make": None,
            "model": None,
            "user_agent": (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
                "Version/17.1 Mobile/15E148 Safari/604.1"
            ),
        },
        after={"platform": "iOS", "platform_version": "17.1", "make": "Apple", "model": "iPhone", "browser": "Mobile Safari"},
    ),
    Enrichment(
        name="device",
        summary=(
            "One spelling for platform (ios, android, web, macos, windows, linux), make (Apple, Samsung, ...) and model, whether the "
            "client sent it or the user agent gave it; the maker's name in front of a model is left off. Unknown values stay as sent."
        ),
        is_per_sender=True,
        reads=("platform", "platform_version", "make", "model"),
        fills=("platform", "platform_version", "make", "model"),
        before={"platform": "iPhone OS", "platform_version": "17.1", "make": "apple", "model": "Apple iPhone14,5"},
        after={"platform": "ios", "platform_version": "17.1", "make": "Apple", "model": "iPhone14,5"},
    ),
    Enrichment(
        name="locale",
        summary=(
            "Locale as language_COUNTRY (language_Script_COUNTRY where there is a script), language in lower and country in upper case, "
            "from whichever of code, language and country was sent; what follows the code (.UTF-8, -u-hc-h12, @calendar=..) is left off. "
            "A code that is none stays as sent. Off: all three as sent."
        ),
        is_per_sender=True,
        reads=("locale_code", "locale_country", "locale_language"),
        fills=("locale", "language", "country"),
        before={"locale_code": "zh-hans-cn.UTF-8", "locale_country": None, "locale_language": None},
        after={"locale": "zh_Hans_CN", "language": "zh", "country": "CN"},
    ),
    Enrichment(
        name="endpoint",
        summary=(
            "user_id, user_attributes and endpoint_attributes out of the endpoint, which the record carries as JSON inside text. "
            "Text that cannot be read gives nulls; column endpoint keeps it either way."
        ),
        is_per_sender=False,
        reads=("endpoint",),
        fills=("user_id", "endpoint_attributes", "user_attributes"),
        before={
            "endpoint": (
                '{"ChannelType":"EMAIL","Attributes":{"plan":["gold"]},"User":{"UserId":"u1","UserAttributes":{"tier":["a","b"]}}}'
            ),
        },
        after={"user_id": "u1", "endpoint_attributes": {"plan": ["gold"]}, "user_attributes": {"tier": ["a", "b"]}},
    ),
    Enrichment(
        name="campaign",
        summary=(
            "Ids of campaign, run, treatment, journey and message out of the attributes (message_id of e-mail events out of the facets), "
            "and the channel: from delivery_type or journey_activity_type, else from the event type's family, else from the endpoint; "
            "GCM, APNS and the like are PUSH. message_id and channel are filled for standard types (leading underscore) only."
        ),
        is_per_sender=False,
        reads=("event_type", "endpoint", "facets", *(f"attribute_{name}" for name in CAMPAIGN_ATTRIBUTES)),
        fills=(
            *("campaign_id", "campaign_activity_id", "treatment_id"),
            *("journey_id", "journey_run_id", "journey_activity_id", "message_id", "channel"),
        ),
        before={
            "event_type": "_email.open",
            "attributes": {"campaign_id": "c1", "campaign_activity_id": "run7", "treatment_id": "0"},
            "facets": '{"email_channel":{"mail_event":{"mail":{"message_id":"m1"},"open":{"ip_address":"192.0.2.1"}}}}',
        },
        after={"campaign_id": "c1", "campaign_activity_id": "run7", "treatment_id": "0", "message_id": "m1", "channel": "EMAIL"},
    ),
    Enrichment(
        name="geo",
        summary=(
            "Country, first subdivision and city of the client's address, the whole one, by the MaxMind database (City or Country) that "
            "setting GEO_DATABASE names; null without one, and for what is no address, private, or not in it. A database that is moved into "
            "the file's place is in use seconds later."
        ),
        is_columnar=True,
        is_per_sender=False,
        reads=("client_ip",),
        fills=("geo_country", "geo_region", "geo_city"),
        before={"client_ip": "81.2.69.142"},
        after={"geo_country": "GB", "geo_region": "ENG", "geo_city": "London"},
    ),
    Enrichment(
        name="clock-skew",
        summary=(
            "Shifts event_timestamp and the session's start and stop by received_at - sent_at where that is more than setting "
            "CLOCK_SKEW_SECS_MIN either way: the sender's clock was wrong by as much. event_timestamp_as_sent keeps the client's own time, of "
            "which an event's identity is made. Imports (source import:...) are left alone, and what would leave the years 1900 to 9999."
        ),
        is_columnar=True,
        is_per_sender=False,
        reads=(*CORRECTED, "sent_at", "received_at", "source"),
        fills=(*CORRECTED, AS_SENT),
        before={
            "event_timestamp": dt.datetime(2026, 11, 23, 10, 0, 0, tzinfo=dt.UTC),
            "session_start_timestamp": dt.datetime(2026, 11, 23, 9, 59, 0, tzinfo=dt.UTC),
            "sent_at": dt.datetime(2026, 11, 23, 10, 0, 5, tzinfo=dt.UTC),
            "received_at": dt.datetime(2026, 11, 23, 12, 0, 5, tzinfo=dt.UTC),
        },
        after={
            "event_timestamp": dt.datetime(2026, 11, 23, 12, 0, 0, tzinfo=dt.UTC),
            "session_start_timestamp": dt.datetime(2026, 11, 23, 11, 59, 0, tzinfo=dt.UTC),
            "event_timestamp_as_sent": dt.datetime(2026, 11, 23, 10, 0, 0, tzinfo=dt.UTC),
        },
    ),
    Enrichment(
        name="traffic",
        summary=(
            "Labels events of bots (by user agent) and internal ones (by endpoint id or client network, settings INTERNAL_ENDPOINTS and "
            "INTERNAL_NETWORKS) in column traffic, and names the rule and its version in traffic_rule. The event is never dropped."
        ),
        is_per_sender=False,
        reads=("agent_bot_rule", "internal_rule"),
        fills=("traffic", "traffic_rule"),
        before={
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36"
        },
        after={"traffic": "bot", "traffic_rule": "user-agent-bot@1"},
    ),
)
