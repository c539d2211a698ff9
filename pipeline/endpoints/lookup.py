"""Looks endpoints up in merged states, by id, user and address: a few by an index, as core.endpoints shows them."""

import functools
from typing import Any

import duckdb

from pipeline.endpoints.merging_views import load_view


def find_endpoint(cursor: duckdb.DuckDBPyConnection, app_id: str, endpoint_id: str) -> dict[str, Any] | None:
    """An endpoint by the columns of core.endpoints; None when there is none. `cursor` is of the connection of an EndpointStates."""
    found = _find(cursor, "endpoint_key = lower($value)", app_id, endpoint_id)
    return found[0] if found else None


def find_user_endpoints(cursor: duckdb.DuckDBPyConnection, app_id: str, user_id: str) -> list[dict[str, Any]]:
    """The endpoints of a user, in order of their ids."""
    return _find(cursor, "user_id = $value", app_id, user_id)


def find_endpoints_at(cursor: duckdb.DuckDBPyConnection, app_id: str, address: str) -> list[dict[str, Any]]:
    """The endpoints with an address, whatever the channel, in order of their ids: what a message that comes back, a bounce or a reply, is known by."""
    return _find(cursor, "address = $value", app_id, address)


def _find(cursor: duckdb.DuckDBPyConnection, is_wanted: str, app_id: str, value: str) -> list[dict[str, Any]]:
    """In one transaction, so that no merge comes between an endpoint and its user."""
    cursor.execute("begin")
    try:
        cursor.execute(_build_facts_sql(is_wanted), {"value": value, "app_id": app_id})
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        shared = {user_id: _find_shared(cursor, app_id, user_id) for user_id in {row["user_id"] for row in found} if user_id is not None}
    finally:
        cursor.execute("rollback")
    # An endpoint with a user has no attributes of its own to show.
    return [row if row["user_id"] is None else row | {"user_attributes": shared[row["user_id"]]} for row in found]


def _find_shared(cursor: duckdb.DuckDBPyConnection, app_id: str, user_id: str) -> dict[str, list[str]]:
    cursor.execute(
        "with found as materialized (select * from lake.endpoint_states where user_id = $user_id) "
        "select user_attributes from found where kind = 'user' and app_id = $app_id",
        {"user_id": user_id, "app_id": app_id},
    )
    row = cursor.fetchone()
    return row[0] if row else {}


@functools.cache
def _build_facts_sql(is_wanted: str) -> str:
    """core.endpoint_facts over what an index finds. DuckDB goes by an index only where nothing else is asked of the scan."""
    facts = load_view("core.endpoint_facts").sql
    assert facts.count("core.endpoint_states") == 1, "what it reads is replaced by what was found"
    return (
        f"with found as materialized (select * from lake.endpoint_states where {is_wanted}), "
        f"facts as ({facts.replace('core.endpoint_states', 'found')}) "
        "select * exclude (endpoint_key) from facts where app_id = $app_id order by endpoint_key"
    )
