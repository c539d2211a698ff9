"""Guest pools: apps that take events without a key, from whoever has the pool's id, as Cognito's identity pools allowed."""

import datetime as dt
import uuid

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipeline.definitions.checks import check_pool_id
from pipeline.definitions.tables import guest_pools
from pipeline.definitions.versions import change_app
from schemas.errors import UsageError


def allow_guests(connection: Connection, app_id: str, pool_id: str | None = None) -> str:
    """Lets guests of the pool send to the app and returns the pool's id; without one it is made. A pool belongs to one app.

    Nothing changes when the app has the pool already. Raises UsageError for an unknown app, an id that is none and another app's pool.
    """
    made = f"us-east-1:{uuid.uuid4()}" if pool_id is None else pool_id
    check_pool_id(made)
    owner = _find_owner(connection, made)
    if owner is None:
        change_app(connection, app_id)
        try:
            with connection.begin_nested():
                connection.execute(guest_pools.insert().values(pool_id=made, app_id=app_id, created_at=dt.datetime.now(dt.UTC)))
        except IntegrityError:
            owner = _find_owner(connection, made)
    if owner not in (None, app_id):
        raise UsageError(f"Guest pool '{made}' belongs to app '{owner}'; expected a pool of app '{app_id}' or a new one.")
    return made


def forbid_guests(connection: Connection, pool_id: str) -> bool:
    """Whether there was such a pool; its guests may send no more."""
    owner = _find_owner(connection, pool_id)
    if owner is None:
        return False
    change_app(connection, owner)
    connection.execute(guest_pools.delete().where(guest_pools.c.pool_id == pool_id))
    return True


def list_guest_pools(connection: Connection) -> dict[str, str]:
    """The app_id of each pool, by the pool's id."""
    chosen = sa.select(guest_pools.c.pool_id, guest_pools.c.app_id).order_by(guest_pools.c.pool_id)
    return {row.pool_id: row.app_id for row in connection.execute(chosen)}


def _find_owner(connection: Connection, pool_id: str) -> str | None:
    return connection.execute(sa.select(guest_pools.c.app_id).where(guest_pools.c.pool_id == pool_id)).scalar_one_or_none()
