"""Brings a definitions database to the newest schema, however many processes open it at once."""

import threading
from pathlib import Path

import alembic.command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from schemas.errors import UsageError

FOLDER = Path(__file__).parent / "migrations"

# Alembic's context is one for a process; PostgreSQL's lock has a number ("hwdefs" in ASCII), the same in every release.
_ONE_AT_A_TIME = threading.Lock()
_LOCK_NUMBER = 0x687764656673


def is_newest(connection: Connection) -> bool:
    """Whether there is nothing to migrate.

    Raises UsageError for a database that a newer release of Headwater migrated: what it means is not known here.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory(FOLDER)
    known = {revision.revision for revision in script.walk_revisions()}
    newest = script.get_current_head()
    if found is not None and found not in known:
        raise UsageError(
            f"The definitions database has schema '{found}', made by a newer release of Headwater; this one knows schemas up to '{newest}'. "
            "Upgrade this installation, or point HEADWATER_DEFINITIONS_URL or HEADWATER_HOME at the database of this release."
        )
    return found == newest


def migrate(connection: Connection, target: str = "head") -> None:
    """Run the migrations that are missing up to `target`, inside the caller's transaction: all of them or none.

    The caller of a SQLite database holds its write lock (its transactions begin with it); on PostgreSQL a lock is taken here. Whoever
    waited for it finds the work done.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
    if is_newest(connection):
        return
    config = Config()
    # A percent sign in the path would be taken for a reference to another option.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        alembic.command.upgrade(config, target)
