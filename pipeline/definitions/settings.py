"""An app's settings: named members, each any JSON value, as Pinpoint's application settings."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from pipeline.definitions.checks import check_text
from pipeline.definitions.tables import app_settings
from pipeline.definitions.versions import change_app
from schemas.errors import UsageError


def load_app_settings(connection: Connection, app_id: str) -> dict[str, Any]:
    """The members that were ever given, by name; empty for an app without settings and for none."""
    chosen = sa.select(app_settings.c.member, app_settings.c.value_json).where(app_settings.c.app_id == app_id)
    return {row.member: json.loads(row.value_json) for row in connection.execute(chosen.order_by(app_settings.c.member))}


def update_app_settings(connection: Connection, app_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Members that are given replace those before, whole; the others stay. Returns all of them as they are now.

    Raises UsageError for an unknown app and for a value that JSON does not have.
    """
    rows = [{"app_id": app_id, "member": member, "value_json": _as_json(member, value)} for member, value in changes.items()]
    change_app(connection, app_id)
    if rows:
        connection.execute(app_settings.delete().where(app_settings.c.app_id == app_id, app_settings.c.member.in_(list(changes))))
        connection.execute(app_settings.insert(), rows)
    return load_app_settings(connection, app_id)


def _as_json(member: str, value: Any) -> str:
    check_text("The name of a setting", member, 1, 128)
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"Setting '{member}' of an app has a value that JSON does not have ({error}); expected a JSON value.") from None
