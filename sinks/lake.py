"""One Delta table of the lake: create it, write files, commit them with application transactions, read positions back.

pyarrow writes each Parquet file and the commit is one `create_write_transaction` with an `AddAction`: a fifth of what
`write_deltalake` costs. The statistics in the action are then ours to write, or readers cannot skip files.
"""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import botocore.exceptions
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Field, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from schemas.errors import UnavailableError, UsageError
from schemas.tables import TableSchema
from sinks.dataset import build_dataset
from sinks.delta_log import parse_transactions, read_transactions
from sinks.parquet import encode_parquet
from sinks.store import Credentials, Store
from sinks.store_failure import explain_failure

LAKE_FOLDER = "lake"

# Workers never checkpoint or clean the log: two of them would race; maintenance does both.
NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)

# Columns whose least and greatest value readers use to skip files.
_STATISTICS = ("event_timestamp", "_appended_at", "event_type", "app_id", "_offset", "_partition", "_topic_id")


class CommitRefusedError(Exception):
    """The table refused the commit: another writer committed one of the same transaction ids since this handle was refreshed."""


@dataclass(frozen=True)
class Upload:
    """A Parquet file that lies in the store and is in no commit yet. `uploaded_at` is of the monotonic clock, seconds."""

    path: str
    size_bytes: int
    partition_values: Mapping[str, str]
    statistics: str
    row_count: int
    uploaded_at: float


class LakeTable:
    """A table and the one handle through which this process commits to it. Not thread-safe: one committer for each table in a process."""

    def __init__(self, store: Store, schema: TableSchema) -> None:
        self.store, self.schema, self.name = store, schema, schema.name
        self.key = f"{LAKE_FOLDER}/{schema.name}"
        self._handle: DeltaTable | None = None
        self._handle_credentials: Credentials | None = None
        # Those known as of the handle's version; all of them once they were read.
        self._transactions: dict[str, int] = {}
        self._are_all_known = False

    @property
    def uri(self) -> str:
        return self.store.uri(self.key)

    def exists(self) -> bool:
        """Raises UnavailableError when the store does not answer, refuses the key or lacks the bucket."""
        with self._naming_the_store():
            return DeltaTable.is_deltatable(self.uri, storage_options=self.store.delta_options())

    def properties(self) -> dict[str, str]:
        """Delta's properties of this table: which columns have statistics. Without it readers use those of the first 32 columns
        alone, and `_offset` is not among them."""
        names = [name for name in _STATISTICS if name in self.schema.column_names]
        return {"delta.dataSkippingStatsColumns": ",".join(names)} if names else {}

    def ensure(self) -> None:
        """Create the table, or add the nullable columns that its schema has gained since.

        Raises UsageError when the table in the store has a column of another type: schemas only ever gain columns.
        """
        if not self.exists():
            # Refused when another worker creates it at the same moment; then it is there.
            with contextlib.suppress(CommitFailedError):
                DeltaTable.create(
                    self.uri,
                    schema=self.schema.arrow,
                    mode="ignore",
                    partition_by=list(self.schema.partition_by) or None,
                    name=self.name,
                    description=f"{self.schema.doc} {self.schema.grain}",
                    configuration=self.properties(),
                    storage_options=self.store.delta_options(),
                )
        for _ in range(10):
            self._open()
            missing = self._missing_columns()
            if not missing:
                return
            try:
                self._delta().alter.add_columns(missing, post_commithook_properties=NO_HOOKS)
            except CommitFailedError:
                # Another worker added them at the same moment: look again.
                continue
        raise UsageError(
            f"Table '{self.name}' at {self.uri} still lacks {[field.name for field in missing]} after ten tries; start one worker alone."
        )

    def refresh(self) -> None:
        """Bring the handle to the newest version, with the transactions that were committed since; opens anew when the log was cleaned or the key rotated."""
        if self._handle is None or self._handle_credentials != self.store.credentials():
            self._open()
            return
        handle, before, known, are_all_known = self._handle, self._handle.version(), self._transactions, self._are_all_known
        # Until the transactions are known too there is no handle: one that is ahead of them would let a stale writer pass.
        self._handle, self._transactions, self._are_all_known = None, {}, False
        try:
            handle.update_incremental()
            for version in range(before + 1, handle.version() + 1):
                # The log file itself: a lookup through the handle replays the whole log.
                known |= parse_transactions(self.store.get(f"{self.key}/_delta_log/{version:020}.json"))
        except (DeltaError, botocore.exceptions.ClientError):
            self._open()
            return
        self._handle, self._transactions, self._are_all_known = handle, known, are_all_known

    def version(self) -> int:
        return self._delta().version()

    def committed(self, app_id: str) -> int | None:
        """Version of an application transaction as of the last refresh; None when there was never one."""
        if app_id not in self._transactions:
            found = self._delta().transaction_version(app_id)
            if found is None:
                return None
            self._transactions[app_id] = found
        return self._transactions[app_id]

    def transactions(self) -> dict[str, int]:
        """All application transactions as of the last refresh. They are read from the whole log once; a refresh adds those committed since."""
        if not self._are_all_known:
            self._transactions, self._are_all_known = read_transactions(self.store, self.key, self.version()), True
        return dict(self._transactions)

    def upload(self, rows: pa.Table) -> list[Upload]:
        """Write rows (the table's columns in its order) as Parquet, a file for each folder that they touch."""
        if rows.num_rows == 0:
            return []
        return [self._upload_folder(values, part) for values, part in self._split_by_folder(rows)]

    def commit(self, uploads: Sequence[Upload], transactions: Mapping[str, int], note: Mapping[str, Any] | None = None) -> None:
        """Commit files and transactions in one version, on the handle as of the last refresh.

        Raises CommitRefusedError when a transaction id of this commit was committed by somebody else since; any other error
        means that the outcome is unknown. After a commit, and after an error, the handle must be refreshed before the next.
        """
        actions: list[AddAction | RemoveAction] = [
            AddAction(upload.path, upload.size_bytes, dict(upload.partition_values), int(time.time() * 1000), True, upload.statistics)
            for upload in uploads
        ]
        properties = CommitProperties(
            custom_metadata={"headwater": json.dumps(note)} if note else None,
            app_transactions=[Transaction(app_id, version) for app_id, version in transactions.items()],
        )
        self._write(actions, properties)

    def _write(self, actions: list[AddAction | RemoveAction], properties: CommitProperties) -> None:
        """One version with these actions, on the handle as of the last refresh. Raises CommitRefusedError when it is refused."""
        handle = self._delta()
        try:
            handle.create_write_transaction(
                actions,
                "append",
                handle.schema(),
                partition_by=list(self.schema.partition_by) or None,
                commit_properties=properties,
                post_commithook_properties=NO_HOOKS,
            )
        except CommitFailedError as error:
            raise CommitRefusedError(str(error)) from error

    def id(self) -> str:
        """Delta's own id of the table: another one when it was deleted and made anew."""
        return str(self._delta().metadata().id)

    def dataset(self) -> ds.Dataset:
        """The rows as of the last refresh."""
        handle = self._delta()
        return build_dataset(self.store, self.key, pa.table(handle.get_add_actions(flatten=True)), self._arrow_schema(handle))

    def _delta(self) -> DeltaTable:
        if self._handle is None:
            self._open()
        assert self._handle is not None
        return self._handle

    def _arrow_schema(self, handle: DeltaTable) -> pa.Schema:
        """The table's columns as stored, in this release's order; columns that only a later release knows come last."""
        stored = pa.schema(handle.schema())
        known = [field for field in self.schema.arrow if field.name in stored.names]
        return pa.schema([*known, *(field for field in stored if field.name not in self.schema.column_names)])

    def _open(self) -> None:
        credentials = self.store.credentials()
        with self._naming_the_store():
            self._handle = DeltaTable(self.uri, storage_options=self.store.delta_options())
        # Only now: while the store is away, the handle keeps the key that it was opened with.
        self._handle_credentials = credentials
        self._transactions, self._are_all_known = {}, False

    @contextlib.contextmanager
    def _naming_the_store(self) -> Iterator[None]:
        """delta-rs says with an OSError of many lines, in colour, that the store failed: UnavailableError says it in one."""
        try:
            yield
        except OSError as error:
            raise UnavailableError(explain_failure(self.store, error)) from error

    def _missing_columns(self) -> list[Field]:
        found = {field.name: field for field in self._delta().schema().fields}
        wanted = Schema.from_arrow(self.schema.arrow)
        for field in wanted.fields:
            if field.name in found and found[field.name].type != field.type:
                raise UsageError(
                    f"Column '{field.name}' of table '{self.name}' is {found[field.name].type} in {self.uri}, and {field.type} in this "
                    "release; columns never change their type: run the release that wrote the table, or name another bucket."
                )
        return [Field(field.name, field.type, nullable=True) for field in wanted.fields if field.name not in found]

    def _split_by_folder(self, rows: pa.Table) -> list[tuple[dict[str, str], pa.Table]]:
        if not self.schema.partition_by:
            return [({}, rows)]
        (column,) = self.schema.partition_by
        folders = pc.unique(rows[column])
        if len(folders) == 1:
            return [({column: str(folders[0].as_py())}, rows.drop_columns([column]))]
        return [({column: str(folder.as_py())}, rows.filter(pc.equal(rows[column], folder)).drop_columns([column])) for folder in folders]

    def _upload_folder(self, partition_values: dict[str, str], rows: pa.Table) -> Upload:
        folder = "".join(f"{column}={value}/" for column, value in partition_values.items())
        path = f"{folder}part-{uuid.uuid4()}.parquet"
        body = encode_parquet(rows)
        self.store.put(f"{self.key}/{path}", body)
        return Upload(path, len(body), partition_values, file_statistics(rows), rows.num_rows, time.monotonic())


def file_statistics(rows: pa.Table) -> str:
    """Delta's statistics of rows that are one file: row count, and least, greatest and null count of the columns that readers filter by."""
    least, greatest, null_count = {}, {}, {}
    for name in _STATISTICS:
        if name in rows.column_names:
            both = pc.min_max(rows[name])
            null_count[name] = rows[name].null_count
            if both["min"].is_valid:
                least[name], greatest[name] = _statistic(both["min"].as_py()), _statistic(both["max"].as_py())
    return json.dumps({"numRecords": rows.num_rows, "minValues": least, "maxValues": greatest, "nullCount": null_count})


def _statistic(value: Any) -> Any:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z") if hasattr(value, "isoformat") else value
