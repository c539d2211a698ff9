"""One run of maintenance over every table of the lake: the whole flow on one screen."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import botocore.exceptions
import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

import schemas.tables
from agents.dedup.snapshot import NAME as DEDUP_KEYS
from pipeline.config import Settings
from pipeline.endpoints.end_offsets import ask_end_offsets
from pipeline.endpoints.merging_views import STATES, UPDATES
from pipeline.event_stream import build_connection
from pipeline.maintenance.compact import RivalError, RowsDifferError, Tenure, compact_group
from pipeline.maintenance.dedup_keys import extend_dedup_keys
from pipeline.maintenance.endpoint_states import AskEnds, merge_endpoint_states
from pipeline.maintenance.log_upkeep import Vacuum, keep_log
from pipeline.maintenance.metrics import MaintenanceMetrics
from pipeline.maintenance.plan import plan_compaction, small_file_counts
from pipeline.maintenance.rules import MaintainRules, build_rules, table_properties
from pipeline.stores import build_store
from schemas.errors import HeadwaterError
from schemas.tables import load_table
from sinks.kept_table import KeptTable
from sinks.lake import CommitRefusedError
from sinks.store import Store

log = logging.getLogger("headwater.maintain")

# What the store and the tables raise when they are away or torn, files that cannot be read among them: the run goes on with the next table.
_OUTAGES = (
    *(HeadwaterError, DeltaError, OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError),
    *(pa.ArrowException, duckdb.Error),
)


class TableReport(TypedDict):
    """What a run found and did. `small_files`: of the folder that has most; `log_commits`: since the last checkpoint."""

    table: str
    files: int
    small_files: int
    bytes: int
    log_commits: int
    log_objects: int
    rows_compacted: int
    failure: str | None


@dataclass(frozen=True)
class Maintenance:
    """The tables of a lake, and how they are kept. `clock` is in seconds since 1970; it decides what is old, never what is right."""

    store: Store
    tables: tuple[KeptTable, ...]
    rules: MaintainRules
    metrics: MaintenanceMetrics
    connection: duckdb.DuckDBPyConnection
    spill_folder: Path
    vacuums: dict[str, Vacuum]
    ask_ends: AskEnds
    clock: Callable[[], float] = time.time

    def run(self, reports: list[TableReport]) -> Iterator[str]:
        """One run; each table ends in `reports`. Yields a step's name before each effect; it may be stopped, or die, at any.

        What fails for one table is logged, counted and tried again at the next run.
        """
        began = time.monotonic()
        for table in self.tables:
            compacted: list[int] = []
            self.metrics.declare(table.name)
            try:
                if table.exists() or self._is_wanted(table):
                    yield from self._keep_alone(table, compacted)
                    reports.append(self._report(table, compacted, None))
            except (RowsDifferError, *_OUTAGES) as error:
                self.metrics.failures.labels(table.name).inc()
                log.error("Maintenance of table '%s' failed and is tried again: %s", table.name, error)
                reports.append(_failed(table, compacted, error))
        self.metrics.run_seconds.set(time.monotonic() - began)
        self.metrics.run_at.set(self.clock())

    def _keep_alone(self, table: KeptTable, compacted: list[int]) -> Iterator[str]:
        """The steps for one table, until another maintainer is met: it leaves the table to that one."""
        try:
            yield from self._keep(table, compacted)
        except (RivalError, CommitRefusedError) as error:
            self.metrics.refusals.labels(table.name).inc()
            log.warning("Table '%s' is left to the other: %s", table.name, error)

    def _keep(self, table: KeptTable, compacted: list[int]) -> Iterator[str]:
        """The steps for one table. New dedup keys come before compaction: the files that hold them are small yet, and few."""
        if self._is_wanted(table):
            table.ensure()
        table.refresh()
        if table.set_properties(table_properties(table, self.rules)):
            table.refresh()
        tenure = Tenure(table)
        if table.name == DEDUP_KEYS:
            yield from self._extend(table, tenure)
        if table.name == STATES:
            yield from self._merge(table, tenure)
        for group in plan_compaction(table.files(), self.rules, self.clock()):
            is_done = yield from compact_group(table, group, tenure, self.rules, self.spill_folder, self.clock())
            if not is_done:
                self.metrics.refusals.labels(table.name).inc()
                continue
            compacted.append(group.row_count)
            self.metrics.rows_compacted.labels(table.name).inc(group.row_count)
            self.metrics.files_compacted.labels(table.name).inc(len(group.files))
            log.info("Compacted %d files, %d rows, of '%s/%s'.", len(group.files), group.row_count, table.name, group.folder)
        table.refresh()
        yield from self._delete_old_files(table)
        yield from keep_log(table, self.rules)

    def _extend(self, keys: KeptTable, tenure: Tenure) -> Iterator[str]:
        events = self._table("events")
        if not events.exists():
            return
        events.refresh()
        added = yield from extend_dedup_keys(events, keys, self.connection, tenure, self.rules, self.spill_folder, self.clock())
        self.metrics.dedup_keys.inc(added)

    def _merge(self, states: KeptTable, tenure: Tenure) -> Iterator[str]:
        updates = self._table(UPDATES)
        if not updates.exists():
            return
        updates.refresh()
        merged = yield from merge_endpoint_states(updates, states, self.ask_ends, tenure, self.rules, self.spill_folder, self.clock)
        self.metrics.endpoint_updates.inc(merged.count)
        self.metrics.endpoint_updates_late.inc(merged.late_count)

    def _is_wanted(self, table: KeptTable) -> bool:
        """Tables that maintenance itself makes: the snapshots."""
        return table.name == DEDUP_KEYS or (table.name == STATES and self._table(UPDATES).exists())

    def _table(self, name: str) -> KeptTable:
        return next(table for table in self.tables if table.name == name)

    def _delete_old_files(self, table: KeptTable) -> Iterator[str]:
        vacuum = self.vacuums.setdefault(table.name, Vacuum())
        deleted = yield from vacuum.remove_old_files(table, self.rules, self.clock())
        self.metrics.files_deleted.labels(table.name).inc(deleted)

    def _report(self, table: KeptTable, compacted: list[int], failure: str | None) -> TableReport:
        table.refresh()
        files, length = table.files(), table.log_length()
        report: TableReport = {
            "table": table.name,
            "files": len(files),
            "small_files": max(small_file_counts(files, self.rules).values(), default=0),
            "bytes": sum(file.size_bytes for file in files),
            "log_commits": length.commits,
            "log_objects": length.objects,
            "rows_compacted": sum(compacted),
            "failure": failure,
        }
        self.metrics.files.labels(table.name).set(report["files"])
        self.metrics.small_files.labels(table.name).set(report["small_files"])
        self.metrics.table_bytes.labels(table.name).set(report["bytes"])
        self.metrics.log_commits.labels(table.name).set(report["log_commits"])
        self.metrics.log_objects.labels(table.name).set(report["log_objects"])
        return report


def build_maintenance(
    settings: Settings,
    metrics: MaintenanceMetrics,
    rules: MaintainRules | None = None,
    clock: Callable[[], float] = time.time,
) -> Maintenance:
    """Wire maintenance; nothing runs yet. `rules` in place of those of the settings."""
    store = build_store(settings)
    tables = tuple(KeptTable(store, load_table(name)) for name in table_names())
    return Maintenance(
        store,
        tables,
        rules or build_rules(settings),
        metrics,
        build_connection(),
        settings.home / "spill",
        {},
        lambda: ask_end_offsets(settings),
        clock,
    )


def table_names() -> list[str]:
    """Every table that the lake may have: those with a schema; the dedup keys before the events that they are taken from."""
    paths = schemas.tables.FOLDER.glob("*.avsc")
    names = [path.stem for path in paths if "partition_by" in json.loads(path.read_text())]
    return sorted(names, key=lambda name: (name != DEDUP_KEYS, name))


def _failed(table: KeptTable, compacted: list[int], error: Exception) -> TableReport:
    return {
        "table": table.name,
        "files": 0,
        "small_files": 0,
        "bytes": 0,
        "log_commits": 0,
        "log_objects": 0,
        "rows_compacted": sum(compacted),
        "failure": str(error),
    }
