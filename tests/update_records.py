"""Records of topic endpoint-updates for tests: with everything that a column takes, or with what a test is about."""

import json
from typing import Any

from pipeline.producer import record_key
from tests.stream import Record

ENDPOINT: dict[str, Any] = {
    "Address": "bob@example.com",
    "Attributes": {"interests": ["music", "sport"], "gone": [], "away": None},
    "ChannelType": "EMAIL",
    "CohortId": "42",
    "CreationDate": "2025-12-01T10:00:00.000Z",
    "Demographic": {"AppVersion": "1.2", "Locale": "de_DE", "Make": "Apple", "Model": "iPhone", "ModelVersion": "15", "Platform": "ios", "PlatformVersion": "17.1", "Timezone": "Europe/Berlin"},
    "EffectiveDate": "2026-01-01T12:00:00+02:00",
    "EndpointStatus": "ACTIVE",
    "Location": {"City": "Bonn", "Country": "DE", "Latitude": 50.7, "Longitude": 7, "PostalCode": "53111", "Region": "NW"},
    "Metrics": {"visits": 3, "score": 1.5},
    "OptOut": "NONE",
    "RequestId": "request-1",
    "User": {"UserId": "User-1", "UserAttributes": {"tier": ["gold"]}},
}  # fmt: skip
SENDER: dict[str, Any] = {
    "client_ip": "192.0.2.77",
    "user_agent": "sdk/1",
    "sent_at": 1767225600123,
    "received_at": 1767225601000,
    "source": "api",
}


def document(
    update_id: str | None = "update-1", endpoint_id: str | None = "Phone-1", operation: str = "update", **given: Any
) -> dict[str, Any]:
    """An update of an endpoint of app shop; what is given as None is not in it."""
    found: dict[str, Any] = {"update_id": update_id, "operation": operation, "app_id": "shop", "endpoint_id": endpoint_id}
    found |= {"arrival_timestamp": 1767225601000, "headwater": SENDER} | ({"endpoint": ENDPOINT} if operation == "update" else {})
    return {name: value for name, value in (found | given).items() if value is not None}


def encode(update: Any) -> bytes:
    return json.dumps(update).encode()


def update(update_id: str = "update-1", endpoint_id: str = "Phone-1", **given: Any) -> Record:
    """Key and value."""
    return record_key("shop", endpoint_id, update_id), encode(document(update_id, endpoint_id, **given))
