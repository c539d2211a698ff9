"""Opens the definitions database: a SQLite file in HEADWATER_HOME, or PostgreSQL by its address."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from pipeline.config import Settings
from pipeline.definitions import sqlite
from pipeline.definitions.migrate import is_newest, migrate
from schemas.errors import HeadwaterError, SettingError, UnavailableError, UsageError

_EXPECTED = (
    "empty (the SQLite file in HEADWATER_HOME) or the address of a PostgreSQL database, for example postgresql://user:password@db/headwater"
)
_CONNECT_SECS_MAX = 10


def open_definitions(settings: Settings, is_migrated: bool = True) -> Engine:
    """The database, migrated to the newest schema unless it is only looked at.

    On SQLite a transaction begins with the write lock; `reading` takes none.


    Raises SettingError for an address that cannot be used, UnavailableError when the server does not answer, UsageError for a database
    of a newer release and for a file that is none.
    """
    if settings.definitions_url.get_secret_value():
        engine = _build_postgresql(settings)
        if is_migrated:
            _migrate(engine)
        return engine
    path = sqlite.file_path(settings)
    engine = sqlite.build_engine(path)
    if is_migrated:
        with sqlite.creating(path):
            _migrate(engine)
    return engine


@contextmanager
def opened_definitions(settings: Settings) -> Iterator[Engine]:
    """The same for the time of a `with` block, as a command needs it; its connections are closed at the end."""
    engine = open_definitions(settings)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that only reads: on SQLite it waits for no writer, and none waits for it."""
    with translate_errors(engine), engine.connect().execution_options(**sqlite.READS_ONLY) as connection:
        yield connection


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is committed at the end of the block, or not at all."""
    with translate_errors(engine), engine.begin() as connection:
        yield connection


@contextmanager
def translate_errors(engine: Engine) -> Iterator[None]:
    """Errors of the database as those that people see; they hold the place of the database and never a password or a parameter."""
    try:
        yield
    except OperationalError as error:
        way_out = sqlite.LOCKED_WAY_OUT if sqlite.is_locked(error.orig) else _way_out(engine.url)
        raise UnavailableError(f"{_place(engine.url)} does not answer: {_said(error, engine.url)}. {way_out}") from None
    except DBAPIError as error:
        raise UsageError(f"{_place(engine.url)} cannot be used: {_said(error, engine.url)}. {_way_out(engine.url)}") from None


def _migrate(engine: Engine) -> None:
    try:
        with reading(engine) as connection:
            if is_newest(connection):
                return
        with changing(engine) as connection:
            migrate(connection)
    except HeadwaterError:
        engine.dispose()
        raise


def _build_postgresql(settings: Settings) -> Engine:
    # The address as it was set is not in the errors: where it cannot be read, nobody knows where in it the password stands.
    try:
        url = sa.make_url(settings.definitions_url.get_secret_value())
    except (ArgumentError, ValueError):
        raise SettingError("DEFINITIONS_URL", "(not shown)", _EXPECTED) from None
    if url.drivername not in {"postgresql", "postgresql+psycopg", "postgres"}:
        raise SettingError("DEFINITIONS_URL", f"{url.drivername}://...", _EXPECTED)
    url = url.set(drivername="postgresql+psycopg")
    options = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_SECS_MAX}
    # Parameters of statements are not in errors or logs, whoever turns logging on; a connection that the server closed is opened anew.
    return sa.create_engine(url, connect_args=options, hide_parameters=True, pool_pre_ping=True)


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"The definitions database {url.database}"
    return f"The definitions database '{url.database or ''}' on {url.host or url.query.get('host', 'this machine')}"


def _said(error: DBAPIError, url: URL) -> str:
    """The first line of what the driver said, without what must not be seen."""
    said = str(error.orig).strip().partition("\n")[0].rstrip(".")
    for secret in (url.password, url.query.get("password")):
        if isinstance(secret, str) and secret:
            said = said.replace(secret, "(not shown)")
    return said


def _way_out(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return "HEADWATER_HOME sets where the file lies, HEADWATER_DEFINITIONS_URL another database."
    return "Expected a PostgreSQL database as HEADWATER_DEFINITIONS_URL says; is it up, and does it let this user in?"
