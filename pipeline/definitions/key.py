"""What a key is; its secret is never part of it."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, cast

from sqlalchemy import Row


class Scope(StrEnum):
    INGEST = "ingest"  # send events and endpoints
    READ = "read"  # ask for apps, settings, endpoints and what was sent
    MANAGE = "manage"  # create, change and delete apps, delete endpoints


@dataclass(frozen=True)
class Key:
    """A key. `app_id` is None when it holds for every app, `events_per_sec` when its rate has no bound of its own."""

    key_id: str
    kind: Literal["access", "write"]
    scopes: frozenset[Scope]
    app_id: str | None
    events_per_sec: float | None
    note: str
    created_at: dt.datetime
    revoked_at: dt.datetime | None


def read_key(row: Row[*tuple[object, ...]]) -> Key:
    """A row of the table keys, without what is secret."""
    found = row._mapping
    return Key(
        key_id=found["key_id"],
        kind=cast(Literal["access", "write"], found["kind"]),
        scopes=frozenset(Scope(scope) for scope in found["scopes"].split(",")),
        app_id=found["app_id"],
        events_per_sec=found["events_per_sec"],
        note=found["note"],
        created_at=found["created_at"],
        revoked_at=found["revoked_at"],
    )
