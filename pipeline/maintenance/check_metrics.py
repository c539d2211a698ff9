"""Prometheus metrics of the checks; every name stands in pipeline/METRICS.md."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge


class CheckMetrics:
    """What the checks of queries/checks found when they were last run."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.rows = Gauge(
            "headwater_check_rows",
            "Rows that the check returned when it was last run through; none when all is well.",
            ["check", "severity"],
            registry=registry,
        )
        self.failures = Counter(
            "headwater_check_failures_total",
            "Times that the check could not be run: time, memory, the store, an error of its own.",
            ["check"],
            registry=registry,
        )
        self.seconds = Gauge(
            "headwater_check_seconds", "How long the check took when it was last run through.", ["check"], registry=registry
        )
        self.run_at = Gauge(
            "headwater_check_run_timestamp_seconds",
            "When the check was last run through, seconds since 1970; 0 is not yet.",
            ["check"],
            registry=registry,
        )

    def declare(self, check: str, severity: str) -> None:
        """Let every check be there before it has run: an alarm sees a rise only of what is there before it."""
        self.rows.labels(check, severity)
        self.failures.labels(check)
        self.run_at.labels(check)
