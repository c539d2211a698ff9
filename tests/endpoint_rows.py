"""Updates of endpoints for tests: rows with defaults, merged batch by batch, seen through the views, and folded by a model that knows no SQL."""

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.ask.checks import PREFIX
from pipeline.ask.lake_relations import create_lake
from pipeline.ask.library import create_all
from pipeline.config import load_settings
from pipeline.endpoints.merge import EndpointStates
from schemas.tables import load_table
from tests.definitions_named import note_names, note_rows
from tests.lake_rows import NOON, Row, as_arrow, library

UPDATES, STATES = load_table("endpoint_updates"), load_table("endpoint_states")
SCALARS = (
    *("channel_type", "address", "opt_out", "effective_date", "request_id", "cohort_id", "app_version", "locale", "make", "model"),
    *("model_version", "platform", "platform_version", "timezone", "city", "country", "region", "postal_code", "latitude", "longitude"),
    *("user_id", "extra"),
)
_offsets = count()


def update(endpoint_id: str | None = "phone-1", **given: Any) -> dict[str, Any]:
    """An update of app shop; each has a place of its own, and unless told otherwise each is appended a second after the one before."""
    offset = next(_offsets)
    row = {
        "update_id": f"update-{offset}",
        "operation": "update",
        "app_id": "shop",
        "endpoint_id": endpoint_id,
        "attributes": {},
        "metrics": {},
        "user_attributes": {},
        "_topic_id": "topic",
        "_partition": 0,
        "_offset": offset,
        "_appended_at": NOON + timedelta(seconds=offset),
        "_payload_hash": offset,
        **given,
    }
    return row | {"arrival_date": row["_appended_at"].date()}


def delete(endpoint_id: str = "phone-1", **given: Any) -> dict[str, Any]:
    return update(endpoint_id, operation="delete", **given)


def delete_user(user_id: str, **given: Any) -> dict[str, Any]:
    return update(None, operation="delete_user", user_id=user_id, **given)


def remove(names: Sequence[str], kind: str = "custom", **given: Any) -> dict[str, Any]:
    """No more of these names or patterns; `kind`: custom, metric or user."""
    removed_type = f"endpoint-{kind}-attributes"
    return update(None, operation="remove_attributes", removed_type=removed_type, removed_names=list(names), **given)


def as_updates(rows: Sequence[Row]) -> pa.Table:
    return as_arrow(UPDATES, rows)


def merge_batches(batches: Iterable[Sequence[Row]]) -> EndpointStates:
    """States in a DuckDB of their own, after these batches."""
    states = EndpointStates(duckdb.connect(config={"threads": 1}))
    for batch in batches:
        states.merge(as_updates(batch))
    return states


def merged_rows(states: EndpointStates) -> list[dict[str, Any]]:
    """What core.endpoints shows when these states are the snapshot and nothing came after it."""
    return shown(states.rows().read_all(), ())


def shown(states: pa.Table | None, updates: Sequence[Row], view: str = "core.endpoints") -> list[dict[str, Any]]:
    """A view over a lake with this snapshot and these updates, by app and endpoint or user."""
    with endpoint_lake(states, updates) as con:
        cursor = con.execute(f"select * from {view} order by all")
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if rows:
        note_names([view])
    if rows and view.startswith(PREFIX):
        note_rows(view)
    return rows


@contextmanager
def endpoint_lake(states: pa.Table | None, updates: Sequence[Row]) -> Iterator[duckdb.DuckDBPyConnection]:
    """All views over an empty lake but for these two tables."""
    con = _views()
    con.register("given_states", states if states is not None else STATES.arrow.empty_table())
    con.register("given_updates", as_updates(updates))
    con.execute("create or replace view lake.endpoint_states as select * from given_states")
    con.execute("create or replace view lake.endpoint_updates as select * from given_updates")
    yield con


@functools.cache
def _views() -> duckdb.DuckDBPyConnection:
    """Made once: to create all views takes longer than to ask one."""
    con = duckdb.connect(config={"threads": 1})
    con.execute("set global TimeZone = 'UTC'")
    create_lake(con, None, [])
    create_all(con, library(), load_settings())
    return con


class Model:
    """The rules of queries/README.md as a fold over the updates in their order: dictionaries and loops."""

    def __init__(self) -> None:
        self.endpoints: dict[tuple[str, str], dict[str, Any]] = {}
        self.users: dict[tuple[str, str], dict[str, list[str]]] = {}
        self.removals: list[tuple[str, str, re.Pattern[str]]] = []

    def fold(self, rows: Sequence[Row]) -> "Model":
        for row in sorted(rows, key=lambda row: (row["_appended_at"], row["_partition"], row["_offset"], row["_topic_id"])):
            key = (row["app_id"], (row["endpoint_id"] or "").lower())
            if row["operation"] == "delete":
                if row.get("user_id") in (None, self.endpoints.get(key, {}).get("user_id")):
                    self.endpoints.pop(key, None)
            elif row["operation"] == "delete_user":
                self.users.pop((row["app_id"], row["user_id"]), None)
            elif row["operation"] == "remove_attributes":
                self.removals += [(row["app_id"], row["removed_type"], _compile(name)) for name in row["removed_names"]]
            else:
                self._update(key, row)
        return self

    def rows(self) -> list[dict[str, Any]]:
        """As core.endpoints shows them."""
        return sorted(
            (self._show(key, endpoint) for key, endpoint in self.endpoints.items()), key=lambda row: (row["app_id"], row["endpoint_id"])
        )

    def _update(self, key: tuple[str, str], row: Row) -> None:
        app_id = key[0]
        fresh = {"first_at": row["_appended_at"], "attributes": {}, "metrics": {}, "own": {}}
        endpoint = self.endpoints.setdefault(key, fresh)
        endpoint |= {name: row[name] for name in SCALARS if row.get(name) is not None}
        endpoint |= {"endpoint_id": row["endpoint_id"], "last_at": row["_appended_at"]}
        endpoint |= {
            "effective_date": row.get("effective_date") or row["_appended_at"],
            "request_id": row.get("request_id") or row["update_id"],
        }
        if row.get("creation_date") is not None:
            endpoint.setdefault("creation_date", row["creation_date"])
        self._put(app_id, "endpoint-custom-attributes", endpoint["attributes"], row["attributes"])
        self._put(app_id, "endpoint-metric-attributes", endpoint["metrics"], row["metrics"])
        user_id = endpoint.get("user_id")
        owner = endpoint["own"] if user_id is None else self.users.setdefault((app_id, user_id), {})
        self._put(app_id, "endpoint-user-attributes", owner, row["user_attributes"])
        endpoint["status"] = row.get("endpoint_status") or "ACTIVE"
        place = self._place(app_id, endpoint)
        if endpoint["status"] == "ACTIVE" and None not in place:
            for (other_app, _), other in self.endpoints.items():
                if other is not endpoint and self._place(other_app, other) == place:
                    other["status"] = "INACTIVE"

    def _put(self, app_id: str, kind: str, held: dict[str, Any], said: dict[str, Any]) -> None:
        for name, value in said.items():
            if any(app == app_id and removed == kind and pattern.fullmatch(name) for app, removed, pattern in self.removals):
                continue
            if value == []:
                held.pop(name, None)
            else:
                held[name] = value

    def _place(self, app_id: str, endpoint: dict[str, Any]) -> tuple[str | None, ...]:
        return (app_id, endpoint.get("channel_type"), endpoint.get("address"))

    def _show(self, key: tuple[str, str], endpoint: dict[str, Any]) -> dict[str, Any]:
        app_id, endpoint_key = key
        user_id = endpoint.get("user_id")
        cohort_id = int(hashlib.md5(endpoint_key.encode()).hexdigest()[:8], 16) % 100
        return {
            **{name: endpoint.get(name) for name in SCALARS},
            "app_id": app_id,
            "endpoint_id": endpoint["endpoint_id"],
            "endpoint_status": endpoint["status"],
            "opt_out": endpoint.get("opt_out", "NONE"),
            "creation_date": endpoint.get("creation_date", endpoint["first_at"]),
            "cohort_id": endpoint.get("cohort_id", cohort_id),
            "attributes": endpoint["attributes"],
            "metrics": endpoint["metrics"],
            "user_attributes": endpoint["own"] if user_id is None else self.users.get((app_id, user_id), {}),
            "updated_at": endpoint["last_at"],
        }


def _compile(name: str) -> re.Pattern[str]:
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(char) or re.escape(char) for char in name), re.DOTALL)


def moment(secs: float) -> datetime:
    return NOON + timedelta(seconds=secs)
