"""Events of messages for tests: e-mails as Pinpoint's stream had them, texts, pushes and in-app messages."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pipeline.config import Settings, load_settings
from tests.lake_rows import Row, at, event, memory_lake

PERSON = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
RUN: dict[str, Any] = {"campaign_id": "c1", "campaign_activity_id": "run-1", "treatment_id": "0"}
JOURNEY: dict[str, Any] = {
    "journey_id": "j1",
    "journey_run_id": "r1",
    "journey_activity_id": "a1",
    "message_id": "m3",
    "endpoint_id": "mail-3",
}


def mail(kind: str, secs: float = 0, agent: str = PERSON, address: str = "192.0.2.1", link: str = "https://a", **given: Any) -> Row:
    """`_email.<kind>` of message m1, sent at noon, `secs` after that."""
    readers = {"ip_address": address, "user_agent": agent}
    parts = {
        "open": {"open": readers},
        "click": {"click": {**readers, "link": link}},
        "hardbounce": {"bounce": {"bounce_sub_type": "General"}},
        "softbounce": {"bounce": {"bounce_sub_type": "MailboxFull"}},
        "complaint": {"complaint": {"complaint_feedback_type": "abuse"}},
        "rejected": {"reject": {"reason": "Bad content"}},
    }
    sent: dict[str, Any] = {"message_id": "m1", "channel": "EMAIL", "endpoint_id": "mail-1", "event_timestamp": at()}
    sent |= {"facets": json.dumps({"email_channel": {"mail_event": {"mail": {}, **parts.get(kind, {})}}})}
    sent |= given
    return event(event_type=f"_email.{kind}", **({"arrival_timestamp": sent["event_timestamp"] + timedelta(seconds=secs)} | sent))


def text(kind: str, secs: float = 0, price: float | None = None, **given: Any) -> Row:
    """`_SMS.<KIND>` of message t1 in two parts, `secs` after noon."""
    attributes = {"record_status": "DELIVERED", "iso_country_code": "US", "number_of_message_parts": "2", "message_type": "Promotional"}
    metrics = {} if price is None else {"price_in_millicents_usd": price}
    sent = {"message_id": "t1", "channel": "SMS", "endpoint_id": "sms-1", "event_timestamp": at(secs / 60), "metrics": metrics}
    return event(event_type=f"_SMS.{kind}", **(sent | given | {"attributes": attributes | given.get("attributes", {})}))


def decision(channel: str, status: str = "SUCCESS", secs: float = 0, **given: Any) -> Row:
    """`_campaign.send` of run run-1."""
    attributes = {"campaign_send_status": status}
    return event(
        **({"event_type": "_campaign.send", "channel": channel, "attributes": attributes, "event_timestamp": at(secs / 60), **RUN} | given)
    )


def ask(sql: str, events: Sequence[Row], settings: Settings | None = None) -> list[tuple[Any, ...]]:
    """What a query over the views says of these events."""
    with memory_lake(settings or load_settings(), events) as con:
        return con.execute(sql).fetchall()
