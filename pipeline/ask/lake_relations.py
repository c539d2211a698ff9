"""The lake's tables in a DuckDB: extensions from their wheels, one key for one bucket, each table pinned to its version of now."""

import importlib.resources
from collections.abc import Sequence

import duckdb

from pipeline.ask.layers import LAKE
from pipeline.ask.sql_text import quoted
from schemas.errors import UnavailableError
from schemas.tables import TableSchema, load_table
from sinks.store import Store
from sinks.store_failure import explain_failure

# In this order: a flush commits dead_letters first, so a dead_letters that is pinned after events and endpoint_updates lacks nothing of what
# these cover. The merged state of endpoints comes after the updates: it may then hold more of them than the updates show, and misses none.
TABLES = ("events", "endpoint_updates", "endpoint_states", "dead_letters", "dead_letter_replays", "imports")
PINNED = "pinned_"


def create_lake(con: duckdb.DuckDBPyConnection, store: Store | None, promoted_attributes: Sequence[str]) -> None:
    """Create schema `lake` with a view of every table, pinned; without a store, and for tables that are not there yet, empty ones.

    Raises UnavailableError when the store does not answer or a table is broken.
    """
    if store is not None:
        _load_extensions(con)
        con.execute(_secret_sql(store))
    con.execute(f"create schema {LAKE}")
    for name in TABLES:
        schema = load_table(name)
        if name == "events":
            schema = schema.with_promoted(promoted_attributes)
        _create_relation(con, schema, _pin_table(con, store, name) if store is not None else None)


def _load_extensions(con: duckdb.DuckDBPyConnection) -> None:
    """Load httpfs and delta from their wheels: nothing is downloaded."""
    for name in ("httpfs", "delta"):
        file = importlib.resources.files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        con.execute(f"load {quoted(str(file))}")


def _secret_sql(store: Store) -> str:
    """The secret that httpfs and delta read with, for this bucket alone."""
    key = store.credentials()
    options = {
        "key_id": quoted(key.access_key_id),
        "secret": quoted(key.secret_access_key),
        "region": quoted(store.region),
        "scope": quoted(store.uri("")),
    }
    if key.session_token:
        options["session_token"] = quoted(key.session_token)
    if store.endpoint:
        scheme, _, address = store.endpoint.rstrip("/").partition("://")
        options |= {"endpoint": quoted(address), "url_style": "'path'", "use_ssl": str(scheme == "https").lower()}
    return f"create secret lake (type s3, {', '.join(f'{name} {value}' for name, value in options.items())})"


def _pin_table(con: duckdb.DuckDBPyConnection, store: Store, name: str) -> list[str] | None:
    """Attach a table at its version of now and return its columns; None when there is no such table yet.

    PIN_SNAPSHOT pins at first use, not at ATTACH, so it is used at once.
    """
    alias = f"{PINNED}{name}"
    try:
        con.execute(f"attach {quoted(store.uri(f'lake/{name}'))} as {alias} (type delta, pin_snapshot)")
        return [column[0] for column in con.execute(f"select * from {alias} limit 0").description]
    except duckdb.Error as error:
        if _has_log(con, store, name):
            raise UnavailableError(
                f"Table '{name}' of the lake at {store.uri('lake/')} could not be read: {str(error).splitlines()[0]}"
            ) from None
        con.execute(f"detach database if exists {alias}")
        return None


def _has_log(con: duckdb.DuckDBPyConnection, store: Store, name: str) -> bool:
    try:
        return con.execute("select 1 from glob(?) limit 1", [store.uri(f"lake/{name}/_delta_log/*")]).fetchone() is not None
    except duckdb.Error as error:
        raise UnavailableError(explain_failure(store, error)) from None


def _create_relation(con: duckdb.DuckDBPyConnection, schema: TableSchema, found: list[str] | None) -> None:
    """Create lake.<table> with the columns of the schema, in its order: null of the right type where the table has none yet,
    then whatever else the table has (attributes that were promoted once, columns of a newer version).

    Columns are named in full: inside a macro, a bare one that is called as a parameter (`model` of attribution) would be refused.
    """
    present = set(found or ())
    columns = [
        _in_full(column.name) if column.name in present else f"null::{column.duckdb} as {_identifier(column.name)}"
        for column in schema.columns
    ]
    columns += [_in_full(name) for name in found or () if name not in set(schema.column_names)]
    source = "where false" if found is None else f"from {PINNED}{schema.name} as pinned"
    con.execute(f"create view {LAKE}.{schema.name} as select {', '.join(columns)} {source}")


def _in_full(name: str) -> str:
    return f"pinned.{_identifier(name)}"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
