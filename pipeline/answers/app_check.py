"""Whether there is an app of the name that was given."""

from pipeline.ask.nearest import hint
from pipeline.ask.reader import Reader
from schemas.errors import UsageError

_LISTS = "headwater sql 'select distinct app_id from core.events'"


def check_app(reader: Reader, app: str) -> None:
    """Hold --app against the apps that have events; '' is all apps. Of a lake without events nothing can be said: it answers with zeros.

    Raises UsageError, which names the nearest, for an app without any.
    """
    if not app or reader.rows("select 1 from core.events where app_id = $app limit 1", {"app": app}):
        return
    known = [row[0] for row in reader.rows("select distinct app_id from core.events where app_id is not null")]
    if known:
        raise UsageError(
            f"Option '--app' is '{app}', which has no events; expected an app that has.{hint(app, known)} {_LISTS} lists them."
        )
