"""The lake's table `imports`: which files were imported, by the hash of their content, once for ever."""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from schemas.errors import UnavailableError
from schemas.tables import load_table
from sinks.store import Store

KEY = "lake/imports"
ATTEMPTS = 5
T = TypeVar("T")


@dataclass(frozen=True)
class FinishedImport:
    """A row of the table: see schemas/imports.avsc."""

    content_hash: str
    file: str
    mapping: str | None
    app_id: str | None
    rows: int
    acknowledged: int
    rejected: int
    identical: int
    identical_policy: str
    finished_at: dt.datetime


class Imports:
    """Reads and appends to the table; makes it when it is not there.

    Each row goes in under the app transaction `import/<content hash>`, so that neither a lost reply nor two machines write it twice.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table: DeltaTable | None = None

    def find(self, content_hash: str) -> FinishedImport | None:
        """The import of this content, None when it was never finished."""
        table = self._refresh()
        if not _is_recorded(table, content_hash):
            return None
        rows = self._ask(lambda: table.to_pyarrow_dataset().to_table(filter=ds.field("content_hash") == content_hash).to_pylist())
        (row,) = rows
        return FinishedImport(**row)

    def record(self, finished: Sequence[FinishedImport]) -> None:
        """Append one row for each import, but none for content that is in the table already.

        Raises UnavailableError when the store did not take it; nothing is lost then, the same call may be made again.
        """
        for attempt in range(ATTEMPTS):
            table = self._refresh()
            missing = [row for row in finished if not _is_recorded(table, row.content_hash)]
            if not missing:
                return
            try:
                self._append(table, missing)
                return
            except CommitFailedError as error:
                # Somebody else committed, or the reply was lost: which one, the next look tells.
                failure: Exception = error
            except (DeltaError, OSError) as error:
                failure = error
            time.sleep(0.1 * 2**attempt)
        raise UnavailableError(
            f"Table '{self._store.uri(KEY)}' took no row for {len(finished)} finished imports: {failure}; import again, what was sent "
            "is not sent twice."
        )

    def _append(self, table: DeltaTable, rows: Sequence[FinishedImport]) -> None:
        schema = load_table("imports").arrow
        write_deltalake(
            table,
            pa.Table.from_pylist([asdict(row) for row in rows], schema=schema),
            mode="append",
            commit_properties=CommitProperties(
                max_commit_retries=0, app_transactions=[Transaction(_app_transaction(row.content_hash), 1) for row in rows]
            ),
            post_commithook_properties=PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
        )

    def _refresh(self) -> DeltaTable:
        if self._table is None:
            self._table = self._ask(self._open)
        else:
            self._ask(self._table.update_incremental)
        return self._table

    def _open(self) -> DeltaTable:
        uri, options = self._store.uri(KEY), self._store.delta_options()
        try:
            return DeltaTable(uri, storage_options=options)
        except TableNotFoundError:
            return DeltaTable.create(uri, schema=load_table("imports").arrow, mode="ignore", storage_options=options)

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except (DeltaError, OSError) as error:
            raise UnavailableError(
                f"Table '{self._store.uri(KEY)}' cannot be read: {error}; it says which files were imported, so nothing is imported "
                "without it. See that the S3 store runs (headwater status) and that bucket and keys are right."
            ) from None


def _is_recorded(table: DeltaTable, content_hash: str) -> bool:
    return table.transaction_version(_app_transaction(content_hash)) is not None


def _app_transaction(content_hash: str) -> str:
    return f"import/{content_hash}"
