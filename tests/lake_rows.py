"""A lake of a few rows for tests: rows with defaults, as relations in memory or as real Delta tables in a bucket."""

import functools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
from deltalake import write_deltalake

from pipeline.ask.layers import LAKE
from pipeline.ask.library import create_all, load_library
from pipeline.ask.settings_view import settings_view_sql
from pipeline.config import Settings, load_settings
from pipeline.stores import build_store
from schemas.tables import TableSchema, load_table
from tests.noting_lake import NotingLake

Row = Mapping[str, Any]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TABLES = ("events", "dead_letters", "imports", "dead_letter_replays", "endpoint_updates", "endpoint_states")
_offsets = count()
_folders: list[tempfile.TemporaryDirectory[str]] = []

# Parsed once for all tests.
library = functools.cache(load_library)


def at(minutes: float = 0, millis: int = 0, days: int = 0) -> datetime:
    """A moment so long after noon of 2026-11-23, UTC."""
    return NOON + timedelta(days=days, minutes=minutes, milliseconds=millis)


def event(**given: Any) -> dict[str, Any]:
    """An event of app shop and endpoint phone-1; each has an id and a Kafka position of its own unless told otherwise."""
    offset = next(_offsets)
    moment = given.get("event_timestamp", NOON)
    row = {
        "event_id": f"event-{offset}",
        "event_type": "screen.view",
        "event_timestamp": moment,
        "app_id": "shop",
        "endpoint_id": "phone-1",
        "attributes": {},
        "metrics": {},
    }
    return _placed(row | given, offset, moment)


def purchase(price: float | None, quantity: float | None = None, currency: str = "EUR", **given: Any) -> dict[str, Any]:
    """A purchase event; what is None is not sent."""
    metrics = {name: value for name, value in {"_item_price": price, "_quantity": quantity}.items() if value is not None}
    sent = {"event_type": "_monetization.purchase", "metrics": metrics, "attributes": {"_currency": currency, "_product_id": "mug"}}
    return event(**(sent | given))


def dead_letter(**given: Any) -> dict[str, Any]:
    """A record that is not JSON."""
    row = {"reason": "not_json", "error": "garbage", "value": b"garbage", "value_bytes": 7, "topic": "raw-events"}
    return _placed(row | given, next(_offsets), given.get("_appended_at", NOON))


def _placed(row: Row, offset: int, moment: datetime) -> dict[str, Any]:
    row = {"_topic_id": "topic", "_partition": 0, "_offset": offset, "_appended_at": moment, "_payload_hash": offset, **row}
    return row | {"arrival_date": row["_appended_at"].date()}


def as_arrow(schema: TableSchema, rows: Sequence[Row]) -> pa.Table:
    """Rows in the lake's schema; what a row lacks is null."""
    filled = [{column.name: _map_items(row.get(column.name)) for column in schema.columns} for row in rows]
    return pa.Table.from_pylist(filled, schema=schema.arrow)


def _map_items(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value


@contextmanager
def memory_lake(
    settings: Settings,
    events: Sequence[Row] | pa.Table = (),
    dead_letters: Sequence[Row] | pa.Table = (),
    dead_letter_replays: Sequence[Row] = (),
    endpoint_updates: Sequence[Row] = (),
    endpoint_states: Sequence[Row] = (),
    file: Path | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """All views and macros over these rows, in a DuckDB in which nothing is locked; with `file`, kept there.

    Tables are taken as they are, in the lake's schema.
    """
    given: dict[str, Sequence[Row] | pa.Table] = {
        "events": events,
        "dead_letters": dead_letters,
        "dead_letter_replays": dead_letter_replays,
        "endpoint_updates": endpoint_updates,
        "endpoint_states": endpoint_states,
    }
    with duckdb.connect(file or ":memory:") as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"attach '{_template()}' as template (read_only)")
        con.execute(f"copy from database template to {file.stem if file else 'memory'}")
        con.execute("detach template")
        con.execute(settings_view_sql(settings))
        for name, rows in given.items():
            if len(rows):
                con.register("given", rows if isinstance(rows, pa.Table) else as_arrow(load_table(name), rows))
                con.execute(f"create or replace table {LAKE}.{name} as from given")
                con.unregister("given")
        yield cast(duckdb.DuckDBPyConnection, NotingLake(con))


@functools.cache
def _template() -> Path:
    """A database with everything over empty tables, in a folder that goes with the process: to create it takes seconds, to copy it a few milliseconds."""
    folder = tempfile.TemporaryDirectory(prefix="headwater-template-")
    _folders.append(folder)
    file = Path(folder.name) / "template.duckdb"
    with duckdb.connect(file) as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"create schema {LAKE}")
        for name in TABLES:
            con.register("given", as_arrow(load_table(name), ()))
            con.execute(f"create table {LAKE}.{name} as from given")
            con.unregister("given")
        create_all(con, library(), load_settings())
    return file


def write_lake(settings: Settings, name: str, rows: Sequence[Row], schema: TableSchema | None = None) -> None:
    """Append rows to a Delta table of the lake; without `schema`, in the schema of today."""
    store = build_store(settings)
    schema = schema or load_table(name)
    write_deltalake(
        store.uri(f"lake/{name}"),
        as_arrow(schema, rows),
        partition_by=list(schema.partition_by) or None,
        mode="append",
        schema_mode="merge",
        storage_options=store.delta_options(),
    )
