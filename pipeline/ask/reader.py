"""A locked-down DuckDB over the lake: every table pinned to one version, every view of queries/ on top, nothing else in reach.

One session's answers agree with each other, because each table is pinned once, when the reader opens. A lake in which no worker
has run yet gives empty views; columns that an older table lacks are null.

Views and macros are created when a query first names them: to create a hundred costs more than most queries.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import duckdb
import pyarrow as pa

from pipeline.ask.lake_relations import create_lake
from pipeline.ask.library import Library, create_base, create_definitions, load_library
from pipeline.ask.nearest import hint_column, refused_argument
from pipeline.ask.spill import SpillFolder
from pipeline.ask.sql_checker import check_sql
from pipeline.ask.sql_text import quoted
from pipeline.ask.sql_tree import Survey, survey_select
from pipeline.ask.views import View, names_read
from pipeline.bare_duckdb import open_duckdb
from pipeline.config import Settings
from pipeline.stores import build_store
from schemas.errors import HeadwaterError, UnavailableError, UsageError
from sinks.store import Store

# What is spilled to local disk may take so many times the memory, so that no query fills the disk on which others work.
SPILL_FACTOR = 5


class QueryError(UsageError):
    """SQL that DuckDB refuses: a name that is not there, a type that does not fit; the message is DuckDB's own."""


class LimitError(HeadwaterError):
    """A query that needed more time or memory than the settings give it."""


class Reader:
    """One DuckDB connection on which all views and macros can be asked; for one thread."""

    def __init__(self, con: duckdb.DuckDBPyConnection, library: Library, settings: Settings, spill: SpillFolder) -> None:
        self.con, self.library, self._settings, self._spill = con, library, settings, spill
        self._created: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def views(self) -> list[View]:
        return self.library.views

    def close(self) -> None:
        """Close the connection and remove what it spilled."""
        self.con.close()
        self._spill.remove()

    @contextmanager
    def ask(self, sql: str, parameters: Mapping[str, str] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run SQL from people, checked, and yield the connection with its result to fetch within the time limit.

        `parameters` are texts bound as $name; SQL casts them to what it needs.

        Raises RefusedError or QueryError for SQL that is not run, LimitError for time and memory.
        """
        with self._limits():
            survey = check_sql(
                self.con, sql, self.library.relations, self.library.value_macros, self.library.table_macros, self.library.left_out
            )
            self._create_for(survey)
            try:
                answer = self.con.execute(sql, dict(parameters or {}))
            except duckdb.BinderException as error:
                raise QueryError(self._explain_names(str(error), survey)) from None
            yield answer

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query of our own, not checked; errors as for `ask`."""
        with self._limits():
            return self.execute(sql, parameters).fetchall()

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run a SELECT of our own, not checked and without limits; the connection has its result."""
        self._create_for(survey_select(self.con, sql))
        return self.con.execute(sql, dict(parameters or {}))

    def create(self, name: str) -> None:
        """Create a view or macro with all that it reads, unless it is there. Raises ViewError when it does not fit that."""
        self._create_named([name])

    def columns(self, name: str) -> list[tuple[str, str]]:
        """Columns of a view with their DuckDB types."""
        return [(row[0], row[1]) for row in self.rows(f"describe {name}")]

    def _create_for(self, survey: Survey) -> None:
        """Create what a statement names, with all that this reads, as far as it is not there."""
        self._create_named([*names_read(survey), *survey.functions, *survey.table_functions])

    def _create_named(self, named: Iterable[str]) -> None:
        missing = [one for one in self.library.needed_by(named) if one.name not in self._created]
        create_definitions(self.con, missing)
        self._created.update(one.name for one in missing)

    def _explain_names(self, error: str, survey: Survey) -> str:
        """An error of DuckDB about a name, with the nearest that there is."""
        parameters = {macro.name: [one.name.strip('"') for one in macro.parameters] for macro in self.library.macros}
        return refused_argument(error, survey.arguments, parameters) or error + hint_column(error, self._columns_of(survey))

    def _columns_of(self, survey: Survey) -> list[str]:
        views = [name for name in names_read(survey) if name in self._created]
        return [row[0] for name in views for row in self.con.execute(f"describe {name}").fetchall()]

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
                f"The query needed more than {self._settings.query_memory_bytes_max} bytes of memory (HEADWATER_QUERY_MEMORY_BYTES_MAX), or "
                f"{SPILL_FACTOR} times as much on disk; ask for fewer days or columns, or raise the setting."
            )
        if isinstance(error, (duckdb.IOException, duckdb.HTTPException)):
            return UnavailableError(f"The lake could not be read: {text}")
        return QueryError(text) if isinstance(error, duckdb.Error) else error


def open_reader(settings: Settings, threads: int | None = None) -> Reader:
    """Open a reader under the read-only key, pinned to the lake as it is now; with at most `threads`, else one a processor.

    Raises UnavailableError when the store does not answer.
    """
    return _open(settings, build_store(settings, is_reader=True), threads)


def open_empty_reader(settings: Settings) -> Reader:
    """The same views over empty tables, without a store: what their columns are can be asked anywhere."""
    return _open(settings, None)


def _open(settings: Settings, store: Store | None, threads: int | None = None) -> Reader:
    library = load_library(own=settings.queries_folder)
    spill = SpillFolder()
    con = _connect(settings, spill)
    reader = Reader(con, library, settings, spill)
    try:
        create_lake(con, store, settings.promoted_attributes)
        create_base(con, settings)
        if threads is not None:
            con.execute(f"set threads = {threads}")
        # From here on no file, bucket or address but the lake, and no way to change that.
        if store is not None:
            con.execute(f"set allowed_directories = [{quoted(store.uri('lake/'))}]")
        con.execute("set enable_external_access = false")
        con.execute("set lock_configuration = true")
    except BaseException:
        reader.close()
        raise
    return reader


def _connect(settings: Settings, spill: SpillFolder) -> duckdb.DuckDBPyConnection:
    con = open_duckdb(
        python_enable_replacements=False,
        memory_limit=f"{settings.query_memory_bytes_max}B",
        temp_directory=str(spill.path),
    )
    con.execute("set TimeZone = 'UTC'")
    # Not in the configuration above: DuckDB 1.5.5 reads it there and does not keep to it.
    con.execute(f"set max_temp_directory_size = '{settings.query_memory_bytes_max * SPILL_FACTOR}B'")
    return con
