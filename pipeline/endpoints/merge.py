"""The merged state of endpoints in a DuckDB of its owner: batches of updates are merged into it by the SQL that the views over the lake have.

The rules of merging stand in queries/README.md, their SQL in queries/core/endpoint_merges.sql. Here it reads the batch as
`lake.endpoint_updates` and the state as `lake.endpoint_states`, two tables of this DuckDB in place of those of the lake.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from agents.land import Position
from pipeline.endpoints.merging_views import STATES, UPDATES, create_merging_views, create_tables
from schemas.tables import load_table

# A lookup goes by one of these and looks at the app then: DuckDB finds rows by an index of one column only.
_INDEXED = ("endpoint_key", "user_id", "address")
# Rows that were replaced keep their place in the table and its indexes until it is written anew.
_REPLACED_MIN = 100_000
_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Merged:
    """What a batch did: the count of endpoints that it made, changed, deleted or turned inactive."""

    endpoints: int


class EndpointStates:
    """States of endpoints, users and removals, as rows of the table endpoint_states. One thread merges; lookups (pipeline/endpoints/lookup.py)
    may run beside it, each on a cursor of its own.

    Batches come in the order of acceptance. A row below the offset that a merge has covered is passed over when it comes again.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, is_indexed: bool = True) -> None:
        """`con`: a DuckDB without schemas `lake`, `staging` and `core`; its memory limit and threads are the owner's affair.

        Not `is_indexed`: for who merges and looks nothing up.
        """
        self._con = con
        self._indexed = _INDEXED if is_indexed else ()
        self._replaced = 0
        self._as_of: datetime | None = None
        con.execute("set global TimeZone = 'UTC'")
        create_tables(con)
        self._index()
        create_merging_views(con)

    def load(self, states: pa.RecordBatchReader) -> None:
        """Take over rows of the table endpoint_states, read as a stream; there must be none yet."""
        with self._transaction():
            self._drop_indexes()
            self._insert(STATES, states)
            self._index()
        found = self._one(f"select epoch_ms(max(_appended_at)) from lake.{STATES} where kind = 'covered'")
        self._as_of = datetime.fromtimestamp(found / 1000, UTC) if found is not None else None

    def merge(self, updates: pa.Table) -> Merged:
        """Apply one batch of rows of endpoint_updates in one transaction; the offsets that it holds are covered then."""
        with self._transaction():
            self._insert(UPDATES, updates)
            self._con.execute("create or replace temp table merges as select * from core.endpoint_merges")
            replaced = self._replace_touched()
            touched = self._one("select count(*) from merges where kind = 'endpoint'")
            ends = self._con.execute(f"select _topic_id, _partition, max(_offset) + 1 from lake.{UPDATES} group by all").fetchall()
            self._set_covered({Position(topic_id, partition): end for topic_id, partition, end in ends})
            self._con.execute(f"delete from lake.{UPDATES}")
            self._con.execute("drop table merges")
        self._replaced += replaced
        if self._replaced > max(_REPLACED_MIN, self._one(f"select count(*) from lake.{STATES}") // 2):
            self._write_anew()
        return Merged(touched)

    def covered(self) -> dict[Position, int]:
        """Of each partition the offset below which its updates are merged."""
        rows = self._con.execute(f"select _topic_id, _partition, _offset from lake.{STATES} where kind = 'covered'").fetchall()
        return {Position(topic_id, partition): offset for topic_id, partition, offset in rows}

    def as_of(self) -> datetime | None:
        """Every update that was appended until then is merged; None while that is not known of any moment."""
        return self._as_of

    def cover(self, offsets: Mapping[Position, int], until: datetime) -> None:
        """Note that all is merged that was appended at or before `until`, and of these partitions all below these offsets."""
        with self._transaction():
            self._set_covered(offsets)
            self._con.execute(f"update lake.{STATES} set _appended_at = ? where kind = 'covered'", [until])
        self._as_of = until

    def rows(self) -> pa.RecordBatchReader:
        """All rows, as the table endpoint_states has them, as a stream; kind by kind, so that who reads one kind skips the others."""
        columns = ", ".join(load_table(STATES).column_names)
        parts = [f"select {columns} from lake.{STATES} where kind = '{kind}'" for kind in ("covered", "removal", "user", "endpoint")]
        return self._con.cursor().execute(" union all ".join(parts)).to_arrow_reader(_BATCH_ROWS)

    def _insert(self, table: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        """Columns that only a later release knows are left out."""
        known = set(load_table(table).column_names)
        columns = ", ".join(name for name in rows.schema.names if name in known)
        self._con.register("rows_to_insert", rows)
        self._con.execute(f"insert into lake.{table} by name select {columns} from rows_to_insert")
        self._con.unregister("rows_to_insert")

    def _replace_touched(self) -> int:
        """Put what was merged in the place of what was; the count of rows that went."""
        replaced = 0
        for kind, key in (("endpoint", "endpoint_key"), ("user", "user_id")):
            replaced += self._one(
                f"delete from lake.{STATES} where kind = '{kind}' and (app_id, {key}) in (select (app_id, {key}) from merges where kind = '{kind}')"
            )
        self._con.execute(f"insert into lake.{STATES} by name select * exclude (is_deleted) from merges where not is_deleted")
        return replaced

    def _set_covered(self, offsets: Mapping[Position, int]) -> None:
        """An offset never goes back."""
        known = self.covered()
        for position, offset in offsets.items():
            if offset <= known.get(position, -1):
                continue
            place = [position.topic_id, position.partition]
            self._con.execute(f"delete from lake.{STATES} where kind = 'covered' and _topic_id = ? and _partition = ?", place)
            self._con.execute(
                f"insert into lake.{STATES} (kind, _topic_id, _partition, _offset, _appended_at) values ('covered', ?, ?, ?, ?)",
                [*place, offset, self._as_of],
            )

    def _write_anew(self) -> None:
        """Let go of the places of rows that were replaced."""
        with self._transaction():
            self._drop_indexes()
            self._con.execute(f"create or replace table lake.{STATES} as select * from lake.{STATES}")
            self._index()
        self._replaced = 0

    def _index(self) -> None:
        for column in self._indexed:
            self._con.execute(f"create index {STATES}_{column} on lake.{STATES} ({column})")

    def _drop_indexes(self) -> None:
        for column in self._indexed:
            self._con.execute(f"drop index lake.{STATES}_{column}")

    def _one(self, sql: str) -> Any:
        row = self._con.execute(sql).fetchone()
        assert row is not None, "asked are aggregates and counts of rows: one row each"
        return row[0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._con.execute("begin")
        try:
            yield
        except BaseException:
            self._con.execute("rollback")
            raise
        self._con.execute("commit")
