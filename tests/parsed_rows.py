"""Parsed records of which a test names only the columns that it is about."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from schemas.records import PARSED

AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


def parsed_table(*rows: Mapping[str, Any]) -> pa.Table:
    """Parsed records: what a row does not name is filled with something valid, or null."""
    always: dict[str, Any] = {
        "event_id": "e",
        "event_type": "cart.add",
        "event_timestamp": AT,
        "app_id": "shop",
        "attributes": {},
        "metrics": {},
        "_topic_id": "t",
        "_partition": 0,
        "_appended_at": AT,
        "_payload_hash": 1,
    }
    full = [always | {"_row": place, "_offset": place} | dict(row) for place, row in enumerate(rows)]
    for row in full:
        row["attributes"], row["metrics"] = list(row["attributes"].items()), list(row["metrics"].items())
    return pa.table({field.name: pa.array([row.get(field.name) for row in full], field.type) for field in PARSED}, schema=PARSED)
