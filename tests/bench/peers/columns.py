"""Documents made into rows of columns by hand: the seven that everybody needs, or those of Headwater's table.

Of Headwater's columns these are left out: browser, traffic and its rule, which need a user-agent parser; extra and the payload
hash, which need a second look at the bytes; places, and times as sent where a clock was wrong. So the peers do a little less.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from schemas.tables import load_table
from tests.bench.peers.job import any_dict

MS = pa.timestamp("ms", tz="UTC")
FEW = pa.schema(
    {
        "event_id": pa.string(),
        "event_type": pa.string(),
        "event_timestamp": MS,
        "arrival_timestamp": MS,
        "app_id": pa.string(),
        "endpoint_id": pa.string(),
        "session_id": pa.string(),
    }
)
_LEFT_OUT = {"browser", "traffic", "traffic_rule", "extra", "_payload_hash", "_topic_id", "arrival_date"}
_LEFT_OUT |= {"geo_country", "geo_region", "geo_city", "event_timestamp_as_sent"}


def _all_columns() -> pa.Schema:
    """Headwater's columns less those left out; a map is one of texts or numbers."""
    return pa.schema([field for field in load_table("events").arrow if field.name not in _LEFT_OUT])


ALL = _all_columns()
Position = tuple[int | None, int | None, int]
"""Partition, offset, and append time in ms of a record."""


def few_columns(document: dict[str, Any]) -> tuple[Any, ...]:
    """A row of FEW."""
    return (
        document["event_id"],
        document["event_type"],
        document["event_timestamp"],
        document.get("arrival_timestamp"),
        document["application"]["app_id"],
        any_dict(document.get("client")).get("client_id"),
        any_dict(document.get("session")).get("session_id"),
    )


def all_columns(document: dict[str, Any], position: Position, loads: Callable[[str], Any] = json.loads) -> tuple[Any, ...]:
    """A row of ALL."""
    get = document.get
    application = document["application"]
    sdk = any_dict(application.get("sdk"))
    client, session, device = any_dict(get("client")), any_dict(get("session")), any_dict(get("device"))
    locale, platform = any_dict(device.get("locale")), any_dict(device.get("platform"))
    attributes, metrics, sent = any_dict(get("attributes")), any_dict(get("metrics")), any_dict(get("headwater"))
    custom = any_dict(any_dict(get("client_context")).get("custom"))
    endpoint, facets = custom.get("endpoint"), get("facets")
    known = any_dict(loads(endpoint)) if endpoint else {}
    user = any_dict(known.get("User"))
    facet_mail = any_dict(any_dict(any_dict(any_dict(facets).get("email_channel")).get("mail_event")).get("mail"))
    code = locale.get("code") or ""
    return (
        document["event_id"],
        document["event_type"],
        document["event_timestamp"],
        get("arrival_timestamp"),
        get("event_version"),
        application["app_id"],
        application.get("package_name"),
        application.get("title"),
        application.get("version_name"),
        application.get("version_code"),
        application.get("cognito_identity_pool_id"),
        sdk.get("name"),
        sdk.get("version"),
        client.get("client_id"),
        client.get("cognito_id"),
        user.get("UserId"),
        session.get("session_id"),
        session.get("start_timestamp"),
        session.get("stop_timestamp"),
        platform.get("name"),
        platform.get("version"),
        device.get("make"),
        device.get("model"),
        locale.get("code"),
        locale.get("language") or code[:2] or None,
        locale.get("country") or code[3:] or None,
        known.get("ChannelType"),
        attributes.get("campaign_id"),
        attributes.get("campaign_activity_id"),
        attributes.get("treatment_id"),
        attributes.get("journey_id"),
        attributes.get("journey_run_id"),
        attributes.get("journey_activity_id"),
        attributes.get("message_id") or facet_mail.get("message_id"),
        list(known["Attributes"].items()) if "Attributes" in known else None,
        list(user["UserAttributes"].items()) if "UserAttributes" in user else None,
        list(attributes.items()),
        list(metrics.items()),
        endpoint,
        custom.get("legacy_identifier"),
        json.dumps(facets) if facets else None,
        get("awsAccountId"),
        sent.get("client_ip"),
        sent.get("user_agent"),
        sent.get("sent_at"),
        sent.get("received_at"),
        sent.get("source"),
        *position,
    )


def build_table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table, column by column."""
    columns = zip(*rows, strict=True)
    return pa.Table.from_arrays([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema)
