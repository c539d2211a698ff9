"""The version of an app: raised first in each change, which also keeps two changes of one app apart."""

import datetime as dt

from sqlalchemy import Connection

from pipeline.definitions.checks import shown
from pipeline.definitions.tables import apps
from schemas.errors import UsageError


def change_app(connection: Connection, app_id: str, at: dt.datetime | None = None) -> None:
    """Raise the app's version. Its row is locked until the transaction ends, so who changes the same app waits.

    Raises UsageError when there is no such app.
    """
    changed = connection.execute(
        apps.update().where(apps.c.app_id == app_id).values(version=apps.c.version + 1, changed_at=at or dt.datetime.now(dt.UTC))
    )
    if not changed.rowcount:
        raise UsageError(f"There is no app {shown(app_id)}; 'headwater apps list' shows those that there are.")
