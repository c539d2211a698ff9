"""Prometheus metrics of maintenance; every name stands in pipeline/METRICS.md."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge


class MaintenanceMetrics:
    """What maintenance says about the lake and itself. Counters only grow; gauges are as of the last run."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.files = Gauge("headwater_maintain_files", "Data files of the table.", ["table"], registry=registry)
        self.small_files = Gauge(
            "headwater_maintain_small_files",
            "Small files, those not compacted to the end, of the folder that has most.",
            ["table"],
            registry=registry,
        )
        self.table_bytes = Gauge("headwater_maintain_table_bytes", "Bytes of the table's data files.", ["table"], registry=registry)
        self.log_commits = Gauge(
            "headwater_maintain_log_commits", "Commits since the table's last checkpoint.", ["table"], registry=registry
        )
        self.log_objects = Gauge("headwater_maintain_log_objects", "Objects of the table's log.", ["table"], registry=registry)
        self.rows_compacted = Counter(
            "headwater_maintain_rows_compacted_total", "Rows rewritten by compaction.", ["table"], registry=registry
        )
        self.files_compacted = Counter(
            "headwater_maintain_files_compacted_total", "Small files that compaction replaced.", ["table"], registry=registry
        )
        self.files_deleted = Counter(
            "headwater_maintain_files_deleted_total", "Files of earlier versions that were deleted.", ["table"], registry=registry
        )
        self.dedup_keys = Counter("headwater_maintain_dedup_keys_total", "Keys added to the snapshot of dedup keys.", registry=registry)
        self.endpoint_updates = Counter(
            "headwater_maintain_endpoint_updates_total", "Endpoint updates merged into the snapshot of endpoints.", registry=registry
        )
        self.endpoint_updates_late = Counter(
            "headwater_maintain_endpoint_updates_late_total",
            "Endpoint updates that came after the snapshot had passed their append time; they are merged as the latest.",
            registry=registry,
        )
        self.refusals = Counter(
            "headwater_maintain_refusals_total",
            "Commits of maintenance that the table refused, and runs left to a rival.",
            ["table"],
            registry=registry,
        )
        self.failures = Counter(
            "headwater_maintain_failures_total", "Tables whose run failed and is tried again.", ["table"], registry=registry
        )
        self.run_seconds = Gauge("headwater_maintain_run_seconds", "Duration of the last run over all tables.", registry=registry)
        self.run_at = Gauge("headwater_maintain_run_timestamp_seconds", "When the last run ended, seconds since 1970.", registry=registry)

    def declare(self, table: str) -> None:
        """Let every counter of a table begin at 0: an alarm sees a rise only of what is there before it."""
        for counter in (self.rows_compacted, self.files_compacted, self.files_deleted, self.refusals, self.failures):
            counter.labels(table)
