"""The lake's table `imports`: which files were imported, by the hash of their content, once for ever."""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import botocore.exceptions
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake.exceptions import DeltaError

from schemas.errors import UnavailableError
from schemas.tables import load_table
from sinks.lake import CommitRefusedError, LakeTable
from sinks.store import Store

ATTEMPTS = 5

_STORE_ERRORS = (DeltaError, OSError, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)


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
        self.table = LakeTable(store, load_table("imports"))
        self._is_ensured = False

    def find(self, content_hash: str) -> FinishedImport | None:
        """The import of this content, None when it was never finished.

        Raises UnavailableError when the table cannot be read.
        """
        with self._reading():
            self._look()
            if not self._is_recorded(content_hash):
                return None
            # The columns by name: a later release may have added some.
            (row,) = (
                self.table.dataset()
                .to_table(columns=self.table.schema.column_names, filter=ds.field("content_hash") == content_hash)
                .to_pylist()
            )
        return FinishedImport(**row)

    def record(self, finished: Sequence[FinishedImport]) -> None:
        """Append one row for each import, but none for content that is in the table already.

        Raises UnavailableError when the store did not take it; nothing is lost then, the same call may be made again.
        """
        for attempt in range(ATTEMPTS):
            with self._reading():
                self._look()
                missing = [row for row in finished if not self._is_recorded(row.content_hash)]
            if not missing:
                return
            try:
                self._append(missing)
                return
            except (CommitRefusedError, *_STORE_ERRORS) as error:
                # Somebody else committed, the key rotated, or the reply was lost: which one, the next look tells.
                failure = error
            time.sleep(0.1 * 2**attempt)
        raise UnavailableError(
            f"Table '{self.table.uri}' took no row for {len(finished)} finished imports: {failure}; import again, what was sent "
            "is not sent twice."
        )

    def _look(self) -> None:
        if not self._is_ensured:
            self.table.ensure()
            self._is_ensured = True
        self.table.refresh()

    def _is_recorded(self, content_hash: str) -> bool:
        return self.table.committed(_app_transaction(content_hash)) is not None

    def _append(self, rows: Sequence[FinishedImport]) -> None:
        uploads = self.table.upload(pa.Table.from_pylist([asdict(row) for row in rows], schema=self.table.schema.arrow))
        self.table.commit(uploads, {_app_transaction(row.content_hash): 1 for row in rows})

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (UnavailableError, *_STORE_ERRORS) as error:
            raise UnavailableError(
                f"Table '{self.table.uri}' cannot be read: {str(error).rstrip('.')}; it says which files were imported, so nothing is imported "
                "without it. See that the S3 store runs (headwater status) and that bucket and keys are right."
            ) from None


def _app_transaction(content_hash: str) -> str:
    return f"import/{content_hash}"
