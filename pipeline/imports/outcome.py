"""What an import did, file by file: counts that add up, what did not map, what was rejected and why."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from pipeline.imports.rows import Row, RowError
from sinks.imports import FinishedImport

# For those who run the import, not for its report.
_NOT_SHOWN = frozenset({"earlier", "first_rejected", "is_busy"})
# Names of fields are the sender's, so kinds of rejection may be as many as rows; so many are told apart.
REASONS_MAX = 100
OTHER_REASONS = "other reasons"
# So many failures does Pinpoint name in a job.
FIRST_REJECTED = 100


class Status(StrEnum):
    """How the import of one file ended."""

    IMPORTED = "imported"  # every row read and every record acknowledged
    SKIPPED = "skipped"  # this content was imported before
    BROKEN = "broken"  # cut off or damaged: what was whole is imported, the file is not finished
    FAILED = "failed"  # not what its name says, columns that do not fit: nothing was sent
    IGNORED = "ignored"  # a file of a folder whose name and content are nothing that is read
    CHECKED = "checked"  # --dry-run: read and mapped, nothing sent


@dataclass
class Outcome:
    """Counts of one file: rows == rejected + left_out + acknowledged once it is finished.

    `sent` counts this run, the others all runs: an import that goes on counts the rows before as well.
    `identical` rows equal an earlier one of the file; `left_out` are those of them that --identical-rows one kept back.
    `earlier` is the import that is why a file was skipped; `is_busy`: another process imports the same content; `first_rejected` says of the first hundred rejected rows what is wrong.
    """

    file: str
    status: Status = Status.FAILED
    content_hash: str = ""
    rows: int = 0
    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    identical: int = 0
    left_out: int = 0
    first_event_at: int | None = None
    last_event_at: int | None = None
    unmapped: dict[str, int] = field(default_factory=dict)
    rejected_reasons: Counter[str] = field(default_factory=Counter)
    rejected_file: str | None = None
    first_rejected: list[str] = field(default_factory=list)
    message: str = ""
    is_busy: bool = False
    earlier: FinishedImport | None = field(default=None, repr=False)

    @property
    def is_well(self) -> bool:
        return self.status not in {Status.BROKEN, Status.FAILED} and not self.rejected

    def see_time(self, event_timestamp: int) -> None:
        """Keep the range of times: a wrong unit shows there at once."""
        self.first_event_at = event_timestamp if self.first_event_at is None else min(self.first_event_at, event_timestamp)
        self.last_event_at = event_timestamp if self.last_event_at is None else max(self.last_event_at, event_timestamp)

    def as_json(self) -> dict[str, Any]:
        shown = {name: value for name, value in asdict(self).items() if name not in _NOT_SHOWN}
        return shown | {"status": str(self.status), "rejected_reasons": dict(self.rejected_reasons)}


def _say(row: Row, error: RowError) -> str:
    place = f"line {row.line}" if row.line is not None else f"row {row.number}"
    where = f"field '{error.field}' " if error.field else ""
    return f"{place}: {where}is {error.value!r}; {error.reason}"


class RejectedRows:
    """Writes `<content hash>.rejected.ndjson`, a line for each row that was not sent; there is no file when there was none."""

    def __init__(self, path: Path, outcome: Outcome) -> None:
        self._path, self._outcome = path, outcome
        self._file: IO[str] | None = None

    def __enter__(self) -> "RejectedRows":
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, row: Row, error: RowError) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w")
            self._outcome.rejected_file = str(self._path)
        entry = {"row": row.number, "line": row.line, "field": error.field, "value": error.value, "reason": error.reason}
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._outcome.rejected += 1
        if len(self._outcome.first_rejected) < FIRST_REJECTED:
            self._outcome.first_rejected.append(_say(row, error))
        reasons, reason = self._outcome.rejected_reasons, f"{error.field}: {error.kind}" if error.field else error.kind
        reasons[reason if reason in reasons or len(reasons) < REASONS_MAX else OTHER_REASONS] += 1
