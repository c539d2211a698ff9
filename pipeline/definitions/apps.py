"""Apps: what events belong to, as Pinpoint's projects; with their tags."""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipeline.definitions.checks import TAGS_MAX, check_app_id, check_tags, check_text, shown
from pipeline.definitions.event_streams import EventStream, delete_event_stream, find_event_stream, put_event_stream
from pipeline.definitions.guests import allow_guests, forbid_guests, list_guest_pools
from pipeline.definitions.settings import load_app_settings, update_app_settings
from pipeline.definitions.tables import app_tags, apps
from pipeline.definitions.versions import change_app
from schemas.errors import UsageError

__all__ = [
    "App",
    "EventStream",
    "allow_guests",
    "create_app",
    "delete_app",
    "delete_event_stream",
    "find_app",
    "find_event_stream",
    "forbid_guests",
    "list_apps",
    "list_guest_pools",
    "load_app_settings",
    "put_event_stream",
    "tag_app",
    "untag_app",
    "update_app_settings",
]


@dataclass(frozen=True)
class App:
    """An app. `version` is 1 at first and is raised with each change of the app and of what belongs to it."""

    app_id: str
    name: str
    created_at: dt.datetime
    version: int
    tags: Mapping[str, str]


def create_app(
    connection: Connection,
    name: str,
    app_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    at: dt.datetime | None = None,
) -> App:
    """A new app; without an id it gets one like Pinpoint's, 32 hexadecimal digits. Ids are told apart by case.

    Raises UsageError for an id, a name or tags that cannot be used and for an id that is taken.
    """
    made = uuid.uuid4().hex if app_id is None else app_id
    check_app_id(made)
    check_text("App name", name, 1, 64)
    now = at or dt.datetime.now(dt.UTC)
    try:
        with connection.begin_nested():
            connection.execute(apps.insert().values(app_id=made, name=name, version=1, created_at=now, changed_at=now))
    except IntegrityError:
        raise UsageError(f"App id '{made}' is taken; expected one that no app has, or none, to have one made.") from None
    _put_tags(connection, made, tags or {})
    return require_app(connection, made)


def list_apps(connection: Connection, after: str | None = None, limit: int | None = None) -> list[App]:
    """Apps by created_at, then app_id; `after` is the app_id of the last one before, `limit` how many there are at most.

    Raises UsageError when there is no app `after`.
    """
    page = sa.select(apps).order_by(apps.c.created_at, apps.c.app_id).limit(limit)
    if after is not None:
        last = require_app(connection, after)
        is_later = apps.c.created_at > last.created_at
        page = page.where(is_later | ((apps.c.created_at == last.created_at) & (apps.c.app_id > last.app_id)))
    return _load(connection, page)


def find_app(connection: Connection, app_id: str) -> App | None:
    found = _load(connection, sa.select(apps).where(apps.c.app_id == app_id))
    return found[0] if found else None


def require_app(connection: Connection, app_id: str) -> App:
    """Raises UsageError when there is no such app."""
    found = find_app(connection, app_id)
    if found is None:
        raise UsageError(f"There is no app {shown(app_id)}; 'headwater apps list' shows those that there are.")
    return found


def delete_app(connection: Connection, app_id: str) -> App | None:
    """Deletes the app; its settings, tags, stream, guest pools and the keys of that app alone go with it. None when there is none.

    Returns the app as it was.
    """
    found = find_app(connection, app_id)
    deleted = connection.execute(apps.delete().where(apps.c.app_id == app_id))
    return found if deleted.rowcount else None


def tag_app(connection: Connection, app_id: str, tags: Mapping[str, str]) -> None:
    """Sets these tags and leaves the others. Raises UsageError for an unknown app and for tags that cannot be used."""
    check_tags(tags)
    change_app(connection, app_id)
    _put_tags(connection, app_id, tags)


def untag_app(connection: Connection, app_id: str, names: Iterable[str]) -> None:
    """Removes tags; a name that the app does not have is passed over. Raises UsageError for an unknown app."""
    change_app(connection, app_id)
    connection.execute(app_tags.delete().where(app_tags.c.app_id == app_id, app_tags.c.name.in_(list(names))))


def _put_tags(connection: Connection, app_id: str, tags: Mapping[str, str]) -> None:
    check_tags(tags)
    if not tags:
        return
    connection.execute(app_tags.delete().where(app_tags.c.app_id == app_id, app_tags.c.name.in_(list(tags))))
    connection.execute(app_tags.insert(), [{"app_id": app_id, "name": name, "value": value} for name, value in tags.items()])
    count = connection.execute(sa.select(sa.func.count()).where(app_tags.c.app_id == app_id)).scalar_one()
    if count > TAGS_MAX:
        raise UsageError(f"App '{app_id}' would have {count} tags; expected at most {TAGS_MAX}, as AWS has it.")


def _load(connection: Connection, chosen: sa.Select[Any]) -> list[App]:
    page = chosen.subquery()
    tagged = sa.select(page, app_tags.c.name.label("tag"), app_tags.c.value).outerjoin(app_tags, app_tags.c.app_id == page.c.app_id)
    found: dict[str, App] = {}
    tags: dict[str, dict[str, str]] = {}
    for row in connection.execute(tagged.order_by(page.c.created_at, page.c.app_id, app_tags.c.name)):
        own = tags.setdefault(row.app_id, {})
        if row.tag is not None:
            own[row.tag] = row.value
        found.setdefault(row.app_id, App(row.app_id, row.name, row.created_at, row.version, own))
    return list(found.values())
