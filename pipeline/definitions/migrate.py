"""Brings a definitions database to the newest schema, however many processes open it at once."""

import threading
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from schemas.errors import UsageError

FOLDER = Path(__file__).parent / "migrations"
# Not alembic's own name, which another program in the same database may use.
VERSION_TABLE = "definitions_version"

# Alembic's context is one for a process; PostgreSQL's lock has a number ("hwdefs" in ASCII), the same in every release.
_ONE_AT_A_TIME = threading.Lock()
_LOCK_NUMBER = 0x687764656673


def list_revisions() -> list[str]:
    """The revisions that this release knows, oldest first. They are in the names of the files, so that alembic is imported to migrate only."""
    return sorted(path.name[1:5] for path in (FOLDER / "versions").glob("m[0-9][0-9][0-9][0-9]_*.py"))


def is_newest(connection: Connection) -> bool:
    """Whether there is nothing to migrate.

    Raises UsageError for a database that a newer release of Headwater migrated: what it means is not known here.
    """
    known, found = list_revisions(), _find_revision(connection)
    if found is not None and found not in known:
        raise UsageError(
            f"The definitions database has schema '{found}', made by a newer release of Headwater; this one knows schemas up to '{known[-1]}'. "
            "Upgrade this installation, or point HEADWATER_DEFINITIONS_URL or HEADWATER_HOME at the database of this release."
        )
    return found == known[-1]


def migrate(connection: Connection, target: str = "head") -> None:
    """Run the migrations that are missing up to `target`, inside the caller's transaction: all of them or none.

    The caller of a SQLite database holds its write lock (its transactions begin with it); on PostgreSQL a lock is taken here. Whoever
    waited for it finds the work done.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("select pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
    if is_newest(connection):
        return
    import alembic.command
    from alembic.config import Config

    config = Config()
    # A percent sign in the path would be taken for a reference to another option.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        alembic.command.upgrade(config, target)


def _find_revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(sa.text(f"select version_num from {VERSION_TABLE}")).scalar_one_or_none()
