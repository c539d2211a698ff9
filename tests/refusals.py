"""What the collector writes to rejected-events, for tests: envelopes around items that it refused."""

import json
from typing import Any

from tests.validate_inputs import event

REFUSED = event(event_type=7)
ENVELOPE: dict[str, Any] = {
    "reason": "wrong_type",
    "error": "Field 'event_type' is 7; expected a text that is not empty.",
    "app_id": "shop",
    "endpoint_id": "ep-1",
    "event_id": "id-1",
    "event_type": "7",
    "event_timestamp": 1767225600000,
    "value": REFUSED.decode(),
    "value_base64": None,
    "value_bytes": len(REFUSED),
    "headwater": {"client_ip": "192.0.2.1", "user_agent": "UA", "sent_at": None, "received_at": 1767225600600, "source": "collector"},
}


def envelope(**changes: Any) -> bytes:
    """The envelope as compact JSON, members changed or, where `...`, left out; `value` as bytes brings its size along."""
    if isinstance(changes.get("value"), bytes):
        changes |= {"value": changes["value"].decode(), "value_bytes": len(changes["value"])}
    members = {name: value for name, value in (ENVELOPE | changes).items() if value is not ...}
    return json.dumps(members, separators=(",", ":")).encode()
