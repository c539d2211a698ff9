"""The rules of maintenance: settings made into figures of one unit."""

from dataclasses import dataclass

from pipeline.config import Settings
from sinks.kept_table import KeptTable

# Maintenance tells checkpoints apart by the removals in them, so they stay a little longer than their files.
_REMOVED_GRACE_SECS = 3600


@dataclass(frozen=True)
class MaintainRules:
    """What is done when.

    `file_bytes_target`: size of a compacted file; one of half that size is left alone. `files_max`: small files of about one size
    that a folder may have. `quiet_secs`: silence after which a folder of an earlier day is compacted whole. `checkpoint_commits`:
    commits after which a checkpoint is written. `stretch_bytes`: rows that are held and sorted at once, as Arrow has them;
    memory is a few times that. `upload_secs_max`: age at which an uploaded file is not committed any more. `endpoint_rows_min`,
    `endpoint_secs_max`: updates of endpoints, or the age of the oldest, at which they are merged into a new snapshot, in
    `endpoint_memory_bytes`. `endpoint_order_secs`: what a broker's clock may be behind.
    """

    file_bytes_target: int = 128_000_000
    files_max: int = 64
    quiet_secs: float = 3600
    checkpoint_commits: int = 20
    log_retention_secs: float = 3600
    vacuum_retention_secs: float = 6 * 3600
    dedup_window_secs: float = 7 * 86400
    stretch_bytes: int = 48_000_000
    upload_secs_max: float = 600
    endpoint_rows_min: int = 10_000
    endpoint_secs_max: float = 3600
    endpoint_memory_bytes: int = 1_000_000_000
    endpoint_order_secs: float = 1


def build_rules(settings: Settings) -> MaintainRules:
    """The rules that the settings ask for."""
    return MaintainRules(
        file_bytes_target=settings.maintain_file_bytes_target,
        files_max=settings.maintain_files_max,
        log_retention_secs=settings.maintain_log_retention_hours * 3600,
        vacuum_retention_secs=settings.maintain_vacuum_retention_hours * 3600,
        dedup_window_secs=settings.dedup_window_hours * 3600,
        endpoint_rows_min=settings.endpoint_snapshot_rows_min,
        endpoint_order_secs=settings.endpoint_order_secs,
    )


def table_properties(table: KeptTable, rules: MaintainRules) -> dict[str, str]:
    """Delta's properties that a table under maintenance has."""
    return table.properties() | {
        "delta.logRetentionDuration": f"interval {round(rules.log_retention_secs)} seconds",
        "delta.deletedFileRetentionDuration": f"interval {round(rules.vacuum_retention_secs + _REMOVED_GRACE_SECS)} seconds",
    }
