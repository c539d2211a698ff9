"""A locked-down DuckDB over the lake: every table pinned to one version, every view of queries/ on top, nothing else in reach.

One session's answers agree with each other, because each table is pinned once, when the reader opens. A lake in which no worker
has run yet gives empty views; columns that an older table lacks are null.
"""

import importlib.resources
import os
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa

from pipeline.config import Settings
from pipeline.sql_checker import check_sql
from pipeline.stores import build_store
from pipeline.views import LAKE, View, askable, create_views, load_views
from schemas.errors import HeadwaterError, UnavailableError, UsageError
from schemas.tables import TableSchema, load_table
from sinks.store import Store

# In this order: a flush commits dead_letters first, so a dead_letters that is pinned after events lacks nothing of what events covers.
TABLES = ("events", "dead_letters", "imports")
PINNED = "pinned_"


class QueryError(UsageError):
    """SQL that DuckDB refuses: a name that is not there, a type that does not fit; the message is DuckDB's own."""


class LimitError(HeadwaterError):
    """A query that needed more time or memory than the settings give it."""


class Reader:
    """One DuckDB connection with all views on it; for one thread."""

    def __init__(self, con: duckdb.DuckDBPyConnection, views: list[View], settings: Settings) -> None:
        self.con, self.views, self._settings = con, views, settings

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.con.close()

    @contextmanager
    def ask(self, sql: str, parameters: Mapping[str, str] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run SQL from people, checked, and yield the connection with its result to fetch within the time limit.

        `parameters` are texts bound as $name; SQL casts them to what it needs.

        Raises RefusedError or QueryError for SQL that is not run, LimitError for time and memory.
        """
        with self._limits():
            check_sql(self.con, sql, askable(self.views))
            yield self.con.execute(sql, dict(parameters or {}))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query of our own, not checked; errors as for `ask`."""
        with self._limits():
            return self.con.execute(sql, dict(parameters or {})).fetchall()

    def columns(self, name: str) -> list[tuple[str, str]]:
        """Columns of a view with their DuckDB types."""
        return [(row[0], row[1]) for row in self.rows(f"describe {name}")]

    @contextmanager
    def _limits(self) -> Iterator[None]:
        """Interrupt what runs longer than the setting allows (DuckDB has no time limit of its own) and name the setting in errors."""
        is_over = threading.Event()

        def stop() -> None:
            is_over.set()
            self.con.interrupt()

        timer = threading.Timer(self._settings.query_secs_max, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            # While rows stream to a writer, the query's own error comes wrapped in the writer's.
            raise self._explain(error, is_over.is_set()) from None
        except RuntimeError as error:
            if "interrupted" not in str(error):
                raise
            # So DuckDB's client says that Ctrl-C was pressed; the query itself goes on until it is told.
            self.con.interrupt()
            raise KeyboardInterrupt from None
        finally:
            timer.cancel()

    def _explain(self, error: Exception, is_over: bool) -> Exception:
        text = str(error)
        if is_over:
            return LimitError(
                f"The query was stopped after {self._settings.query_secs_max:g} seconds (HEADWATER_QUERY_SECS_MAX); "
                "ask for fewer days, or raise the setting."
            )
        if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory Error" in text:
            return LimitError(
                f"The query needed more than {self._settings.query_memory_bytes_max} bytes of memory (HEADWATER_QUERY_MEMORY_BYTES_MAX); "
                "ask for fewer days or columns, or raise the setting."
            )
        if isinstance(error, (duckdb.IOException, duckdb.HTTPException)):
            return UnavailableError(f"The lake could not be read: {text}")
        return QueryError(text) if isinstance(error, duckdb.Error) else error


def open_reader(settings: Settings) -> Reader:
    """Open a reader under the read-only key, pinned to the lake as it is now.

    Raises UnavailableError when the store does not answer.
    """
    store = build_store(settings, is_reader=True)
    con = _connect(settings)
    _load_extensions(con)
    con.execute(_secret_sql(store))
    con.execute(f"create schema {LAKE}")
    for name in TABLES:
        schema = _schema(settings, name)
        _create_relation(con, schema, _pin_table(con, store, name))
    return _finish(con, settings, allowed=store.uri("lake/"))


def open_empty_reader(settings: Settings) -> Reader:
    """The same views over empty tables, without a store: what their columns are can be asked anywhere."""
    con = _connect(settings)
    con.execute(f"create schema {LAKE}")
    for name in TABLES:
        _create_relation(con, _schema(settings, name), None)
    return _finish(con, settings, allowed="")


def _finish(con: duckdb.DuckDBPyConnection, settings: Settings, allowed: str) -> Reader:
    views = load_views()
    create_views(con, views, settings)
    # From here on no file, bucket or address but the lake, and no way to change that.
    if allowed:
        con.execute(f"set allowed_directories = [{_quoted(allowed)}]")
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")
    return Reader(con, views, settings)


def _schema(settings: Settings, name: str) -> TableSchema:
    schema = load_table(name)
    return schema.with_promoted(settings.promoted_attributes) if name == "events" else schema


def _connect(settings: Settings) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "memory_limit": f"{settings.query_memory_bytes_max}B",
            # What does not fit in memory goes here, and away at the end; a folder for each process, as they must not share one.
            "temp_directory": str(Path(tempfile.gettempdir()) / f"headwater-sql-{os.getpid()}-{uuid.uuid4().hex[:8]}"),
        }
    )
    con.execute("set TimeZone = 'UTC'")
    return con


def _load_extensions(con: duckdb.DuckDBPyConnection) -> None:
    """Load httpfs and delta from their wheels: nothing is downloaded."""
    for name in ("httpfs", "delta"):
        file = importlib.resources.files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        con.execute(f"load {_quoted(str(file))}")


def _secret_sql(store: Store) -> str:
    """The secret that httpfs and delta read with, for this bucket alone."""
    key = store.credentials()
    options = {
        "key_id": _quoted(key.access_key_id),
        "secret": _quoted(key.secret_access_key),
        "region": _quoted(store.region),
        "scope": _quoted(store.uri("")),
    }
    if key.session_token:
        options["session_token"] = _quoted(key.session_token)
    if store.endpoint:
        scheme, _, address = store.endpoint.rstrip("/").partition("://")
        options |= {"endpoint": _quoted(address), "url_style": "'path'", "use_ssl": str(scheme == "https").lower()}
    return f"create secret lake (type s3, {', '.join(f'{name} {value}' for name, value in options.items())})"


def _pin_table(con: duckdb.DuckDBPyConnection, store: Store, name: str) -> list[str] | None:
    """Attach a table at its version of now and return its columns; None when there is no such table yet.

    PIN_SNAPSHOT pins at first use, not at ATTACH, so it is used at once.
    """
    alias = f"{PINNED}{name}"
    try:
        con.execute(f"attach {_quoted(store.uri(f'lake/{name}'))} as {alias} (type delta, pin_snapshot)")
        return [column[0] for column in con.execute(f"select * from {alias} limit 0").description]
    except duckdb.Error as error:
        if _has_log(con, store, name):
            raise UnavailableError(f"Table '{name}' of the lake at {store.uri('lake/')} could not be read: {error}") from None
        con.execute(f"detach database if exists {alias}")
        return None


def _has_log(con: duckdb.DuckDBPyConnection, store: Store, name: str) -> bool:
    try:
        return con.execute("select 1 from glob(?) limit 1", [store.uri(f"lake/{name}/_delta_log/*")]).fetchone() is not None
    except duckdb.Error as error:
        raise UnavailableError(
            f"The S3 store at {store.endpoint or 'AWS'} with bucket '{store.bucket}' did not answer: {error} "
            "Start the local stack ('headwater up'), or set HEADWATER_S3_ENDPOINT and HEADWATER_S3_BUCKET."
        ) from None


def _create_relation(con: duckdb.DuckDBPyConnection, schema: TableSchema, found: list[str] | None) -> None:
    """Create lake.<table> with the columns of the schema, in its order: null of the right type where the table has none yet,
    then whatever else the table has (attributes that were promoted once, columns of a newer version)."""
    present = set(found or ())
    columns = [
        _identifier(column.name) if column.name in present else f"null::{column.duckdb} as {_identifier(column.name)}"
        for column in schema.columns
    ]
    columns += [_identifier(name) for name in found or () if name not in set(schema.column_names)]
    source = "where false" if found is None else f"from {PINNED}{schema.name}"
    con.execute(f"create view {LAKE}.{schema.name} as select {', '.join(columns)} {source}")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
