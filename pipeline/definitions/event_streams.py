"""Event streams: where an app's events were to go in AWS, one an app, kept as Pinpoint's clients give it."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from pipeline.definitions.checks import check_text
from pipeline.definitions.tables import event_streams
from pipeline.definitions.versions import change_app


@dataclass(frozen=True)
class EventStream:
    app_id: str
    destination_stream_arn: str
    role_arn: str
    last_modified_at: dt.datetime
    last_updated_by: str


def put_event_stream(
    connection: Connection,
    app_id: str,
    destination_stream_arn: str,
    role_arn: str,
    last_updated_by: str = "",
    *,
    at: dt.datetime | None = None,
) -> EventStream:
    """Sets the app's stream, whatever it was. Raises UsageError for an unknown app and for text that cannot be used."""
    check_text("DestinationStreamArn", destination_stream_arn, 1, 2048)
    check_text("RoleArn", role_arn, 1, 2048)
    check_text("LastUpdatedBy", last_updated_by, 0, 256)
    now = at or dt.datetime.now(dt.UTC)
    change_app(connection, app_id, now)
    connection.execute(event_streams.delete().where(event_streams.c.app_id == app_id))
    stream = EventStream(app_id, destination_stream_arn, role_arn, now, last_updated_by)
    connection.execute(event_streams.insert().values(**vars(stream)))
    return stream


def find_event_stream(connection: Connection, app_id: str) -> EventStream | None:
    found = connection.execute(sa.select(event_streams).where(event_streams.c.app_id == app_id)).one_or_none()
    return EventStream(**found._mapping) if found else None


def delete_event_stream(connection: Connection, app_id: str) -> EventStream | None:
    """Returns the stream as it was; None when the app has none, or there is no such app."""
    found = find_event_stream(connection, app_id)
    if found is None:
        return None
    change_app(connection, app_id)
    connection.execute(event_streams.delete().where(event_streams.c.app_id == app_id))
    return found
