"""Endpoints that are exported and imported again in tests, and what the lake says of them."""

import gzip
import json
from pathlib import Path
from typing import Any

from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.endpoints.files.imports import EndpointImportOptions, import_endpoints
from schemas.errors import UnavailableError
from tests.endpoint_imports import write
from tests.worker_process import wait_until

# As Pinpoint wrote them, with what it had and with members that nobody knows.
PINPOINT = [
    {
        "Id": "A-1",
        "ApplicationId": "0123456789abcdef0123456789abcdef",
        "Address": "=cmd|' /C calc'!A0",
        "ChannelType": "EMAIL",
        "EndpointStatus": "ACTIVE",
        "OptOut": "ALL",
        "EffectiveDate": "2025-06-01T12:00:00.123Z",
        "CreationDate": "2024-01-02T03:04:05.678Z",
        "CohortId": "42",
        "RequestId": "r-1",
        "Attributes": {"interests": ["music", "größe", "'=x"], "empty": [""]},
        "Metrics": {"logins": 3.0, "share": 0.1},
        "Demographic": {"AppVersion": "1", "Locale": "de_DE", "Make": "apple", "Model": "x", "ModelVersion": "y", "Platform": "ios"},
        "Location": {"City": "Köln", "Country": "DE", "Latitude": 50.9, "Longitude": -6.9, "PostalCode": "50667", "Region": "NW"},
        "User": {"UserId": "u-1", "UserAttributes": {"name": ["Ann"], "plan": ["gold"]}},
        "Odd": {"deep": [1.50, None]},
    },
    {"Id": "b-2", "Address": "+49123", "ChannelType": "SMS", "EndpointStatus": "INACTIVE", "User": {"UserId": "u-1"}},
    {"Id": "c-3", "Attributes": {"plan": ["free"]}},
]


def pinpoint_export(tmp_path: Path) -> Path:
    return write(tmp_path / "pinpoint.json.gz", "".join(json.dumps(each) + "\n" for each in PINPOINT))


def import_into(settings: Settings, app_id: str, address: Path | str) -> int:
    outcomes = import_endpoints(settings, [str(address)], EndpointImportOptions(app_id))
    assert all(outcome.is_well for outcome in outcomes), [outcome.message for outcome in outcomes]
    return sum(outcome.acknowledged for outcome in outcomes)


def state(settings: Settings, app_id: str) -> list[dict[str, Any]]:
    """core.endpoints of an app, without its id and without when it was merged."""
    with open_reader(settings) as reader:
        answer = reader.execute(
            "select * exclude (app_id, updated_at) from core.endpoints where app_id = $app order by lower(endpoint_id)", {"app": app_id}
        )
        rows: list[dict[str, Any]] = answer.to_arrow_table().to_pylist()
    return rows


def wait_for(settings: Settings, app_id: str, count: int) -> list[dict[str, Any]]:
    """The app's endpoints once there are so many. While the first worker makes the lake's tables they cannot all be read."""

    def are_there() -> bool:
        try:
            return len(state(settings, app_id)) >= count
        except UnavailableError:
            return False

    wait_until(are_there, f"{count} endpoints of {app_id}")
    return state(settings, app_id)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
