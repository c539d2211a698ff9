"""The log of a table and what it has removed: checkpoints, old log files, files that no version within the retention reads."""

from collections.abc import Generator, Iterator

from pipeline.maintenance.rules import MaintainRules
from schemas.errors import UsageError
from sinks.kept_table import KeptTable

# A worker may hold an upload back for HEADWATER_UPLOAD_SECS_MAX, at the most six days, and then still commit it.
GRACE_HOURS_MIN = 168


def keep_log(table: KeptTable, rules: MaintainRules) -> Iterator[str]:
    """Write a checkpoint when enough was committed since the last, then clean the log before it. Yields a step's name before each effect."""
    if table.log_length().commits < rules.checkpoint_commits:
        return
    yield f"before {table.name} checkpoint"
    table.checkpoint()
    yield f"before {table.name} log cleanup"
    table.clean_log()


class Vacuum:
    """The lite vacuum of one table: deletes what the log names as removed, once it is older than the retention.

    So a reader with a version of up to that age finds its files, and an upload that is in no commit yet is never touched.
    """

    def __init__(self) -> None:
        self._done_until = 0.0

    def remove_old_files(self, table: KeptTable, rules: MaintainRules, now: float) -> Generator[str, None, int]:
        """Yields a step's name before it deletes; `now` in seconds since 1970; returns how many. What it deleted before is left out."""
        until = now - rules.vacuum_retention_secs
        paths = [path for path, removed_at in table.removed_files().items() if self._done_until <= removed_at < until]
        if paths:
            yield f"before {table.name} vacuum"
            table.delete_files(paths)
        self._done_until = max(self._done_until, until)
        return len(paths)


def vacuum_fully(table: KeptTable, grace_hours: float, now: float) -> int:
    """Delete every file in the table's folders that the log does not name and that is older than the grace; returns how many.

    Raises UsageError for a grace under seven days.
    """
    require_safe_grace(grace_hours)
    paths = table.unnamed_files(now - grace_hours * 3600)
    table.delete_files(paths)
    return len(paths)


def require_safe_grace(grace_hours: float) -> None:
    """Raises UsageError for a grace in which a file may still be committed."""
    if not grace_hours >= GRACE_HOURS_MIN:
        raise UsageError(
            f"Option '--grace-hours' is {grace_hours:g}; expected {GRACE_HOURS_MIN} (seven days) or more: a full vacuum deletes files that are "
            "uploaded and not committed yet, and their late commit would break every query. Leave --full-vacuum out to delete only what the log names as removed."
        )
