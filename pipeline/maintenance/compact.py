"""Many small files become one, the same rows: read, sort, write, count, then one commit that Delta refuses to a rival."""

import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from pipeline.maintenance.plan import Group
from pipeline.maintenance.rules import MaintainRules
from sinks.compacted_parquet import CompactedFile, read_stretches, sort_rows
from sinks.kept_table import KeptTable, LakeFile
from sinks.lake import CommitRefusedError, Upload

SORT_BY = ("app_id", "event_type", "event_timestamp")
# Other orders: a worker takes ascending ids as they are, without sorting them again; what was said of one endpoint lies together.
_SORT_BY = {"dedup_keys": ("id",), "endpoint_updates": ("app_id", "endpoint_id", "_appended_at")}
# Rows of a row group where a stretch has more of them: dedup keys are small, and are read batch by batch.
GROUP_ROWS = 262_144


class RowsDifferError(Exception):
    """Compaction would have lost or doubled rows. Nothing was committed."""


class RivalError(Exception):
    """Another maintainer has committed to the table since this one began: it leaves the table to the other."""


class Tenure:
    """The right to commit to one table's files, by a number that each commit raises: app transaction `maintain/<table>`.

    It is read at the start of a run. Two maintainers that read the same number write the same next one, and Delta refuses
    the second; one that finds another number than it wrote knows that it has a rival.
    """

    def __init__(self, table: KeptTable) -> None:
        self._table, self._id = table, f"maintain/{table.name}"
        self._number = table.committed(self._id) or 0

    def transaction(self) -> dict[str, int]:
        """What the next commit carries."""
        return {self._id: self._number + 1}

    def settle(self, is_refused: bool = False) -> bool:
        """After a commit: look at the table. True when the commit is in it; `is_refused`: Delta did not take it.

        Raises RivalError when somebody else's is: whatever was planned before that may be of files that are no more.
        """
        self._table.refresh()
        found = self._table.committed(self._id) or 0
        if found not in (self._number, self._number + (not is_refused)):
            raise RivalError(
                f"Another maintainer is at work on table '{self._table.name}' ({self._id} is {found}, expected {self._number})."
            )
        is_in = found == self._number + 1
        self._number = found
        return is_in


def compact_group(
    table: KeptTable, group: Group, tenure: Tenure, rules: MaintainRules, spill_folder: Path, now: float
) -> Generator[str, None, bool]:
    """Compact one group; True when it is committed. Yields a step's name before each effect.

    Whatever happens before the commit leaves an upload that no commit names, nothing else.

    Raises RowsDifferError when a row is missing or there is one too many, RivalError when another maintainer was quicker.
    """
    yield f"before {table.name} read"
    with CompactedFile(spill_folder, GROUP_ROWS) as file:
        read_count = 0
        for rows in read_stretches(_bodies(table, group.files), table.stored_schema(), rules.stretch_bytes):
            read_count += rows.num_rows
            file.add(sort_rows(rows, _SORT_BY.get(table.name, SORT_BY)))
        yield f"before {table.name} upload"
        upload = file.upload(table, group.files[0].partition_values)
    require_same_rows(table, group, read_count, upload)
    yield f"before {table.name} commit"
    if time.monotonic() - upload.uploaded_at > rules.upload_secs_max:
        # A full vacuum may have taken it for an orphan: it stays one.
        return False
    try:
        table.replace(group.files, [upload], tenure.transaction(), now)
    except CommitRefusedError:
        tenure.settle(is_refused=True)
        return False
    yield f"after {table.name} commit"
    return tenure.settle()


def require_same_rows(table: KeptTable, group: Group, read_count: int, upload: Upload) -> None:
    """Hold against each other: what the log says of the old files, what was read of them, what the new file says of itself."""
    if not group.row_count == read_count == upload.row_count:
        raise RowsDifferError(
            f"Compaction of {len(group.files)} files in '{table.name}/{group.folder}' was given up: the log names {group.row_count} rows, "
            f"{read_count} were read, {upload.row_count} were written to '{upload.path}', which no commit names. Nothing is lost; please report it."
        )


def _bodies(table: KeptTable, files: Sequence[LakeFile]) -> Iterator[bytes]:
    """One file after the other; each is below half the target."""
    for file in files:
        yield table.store.get(f"{table.key}/{file.path}")
