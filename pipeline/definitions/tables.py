"""The tables of the definitions database: apps with what belongs to them, keys, and jobs."""

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Float, ForeignKey, Integer, MetaData, String, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class UtcMoment(TypeDecorator[dt.datetime]):
    """A moment in UTC. SQLite has no zones, so there it is kept without one and gets it back when it is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        assert value.tzinfo is not None, "a moment without a zone"
        utc = value.astimezone(dt.UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)


# Constraints have names that can be derived, so that a later migration can change them in either database.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

# Ids are compared and sorted byte by byte in both databases, whatever language the server is set to.
_ID = String(64).with_variant(String(64, collation="C"), "postgresql")


def _app_id(**options: Any) -> Column[Any]:
    return Column("app_id", _ID, ForeignKey("apps.app_id", ondelete="CASCADE"), nullable=False, **options)


# One row per app; version is raised with each change of the app and of what belongs to it.
apps = Table(
    "apps",
    metadata,
    Column("app_id", _ID, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcMoment, nullable=False),
    Column("changed_at", UtcMoment, nullable=False),
)

# One row per app and tag.
app_tags = Table(
    "app_tags",
    metadata,
    _app_id(primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
)

# One row per app and member of its settings; value_json is the member's value as JSON.
app_settings = Table(
    "app_settings",
    metadata,
    _app_id(primary_key=True),
    Column("member", String(128), primary_key=True),
    Column("value_json", Text, nullable=False),
)

# One row per app that has an event stream.
event_streams = Table(
    "event_streams",
    metadata,
    _app_id(primary_key=True),
    Column("destination_stream_arn", Text, nullable=False),
    Column("role_arn", Text, nullable=False),
    Column("last_modified_at", UtcMoment, nullable=False),
    Column("last_updated_by", Text, nullable=False),
)

# One row per guest pool: those who have its id may send to the app without a key.
guest_pools = Table(
    "guest_pools",
    metadata,
    Column("pool_id", String(128), primary_key=True),
    _app_id(index=True),
    Column("created_at", UtcMoment, nullable=False),
)

# One row per key, revoked ones too. An access key has its secret, encrypted by the vault; a write key has the sha256 of its text.
keys = Table(
    "keys",
    metadata,
    Column("key_id", String(128), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("scopes", String(128), nullable=False),
    Column("app_id", _ID, ForeignKey("apps.app_id", ondelete="CASCADE"), index=True),
    Column("events_per_sec", Float),
    Column("note", Text, nullable=False),
    Column("secret_encrypted", Text),
    Column("text_sha256", String(64), unique=True),
    Column("created_at", UtcMoment, nullable=False),
    Column("changed_at", UtcMoment, nullable=False),
    Column("revoked_at", UtcMoment),
    CheckConstraint(
        "(kind = 'access' and secret_encrypted is not null and text_sha256 is null)"
        " or (kind = 'write' and text_sha256 is not null and secret_encrypted is null)",
        name="kind",
    ),
)

# One row per import or export job. Who runs it holds it by `owner` for as long as `heartbeat_at` is young; pieces_json says what became of each file.
jobs = Table(
    "jobs",
    metadata,
    Column("job_id", _ID, primary_key=True),
    _app_id(index=True),
    Column("kind", String(16), nullable=False),
    Column("address", Text, nullable=False),
    Column("definition_json", Text, nullable=False),
    Column("status", String(40), nullable=False),
    Column("created_at", UtcMoment, nullable=False),
    Column("completed_at", UtcMoment),
    Column("total_pieces", Integer, nullable=False),
    Column("completed_pieces", Integer, nullable=False),
    Column("failed_pieces", Integer, nullable=False),
    Column("total_processed", BigInteger, nullable=False),
    Column("total_failures", BigInteger, nullable=False),
    Column("failures_json", Text, nullable=False),
    Column("pieces_json", Text, nullable=False),
    Column("report_address", Text),
    Column("owner", String(128)),
    Column("heartbeat_at", UtcMoment),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcMoment),
)
