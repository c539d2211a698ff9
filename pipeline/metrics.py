"""Prometheus metrics of a worker, served on /metrics; every name stands in pipeline/METRICS.md."""

import time
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from agents.doubts import Doubts
from agents.flush_report import FlushReport
from schemas.errors import UsageError
from schemas.records import Reason


class WorkerMetrics:
    """What a worker says about itself. Counters only grow; gauges are as of the last flush."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.consumed = Counter("headwater_records_consumed_total", "Records whose outcome is committed.", ["topic"], registry=registry)
        self.holes = Counter(
            "headwater_holes_total", "Offsets that held no record: transaction markers, compaction.", ["topic"], registry=registry
        )
        self.landed = Counter("headwater_events_landed_total", "Events committed to the lake.", ["topic"], registry=registry)
        self.dead = Counter(
            "headwater_dead_letters_total",
            "Dead letters committed, by reason; held: committed by an earlier worker that did not live to count them.",
            ["topic", "reason"],
            registry=registry,
        )
        self.duplicates = Counter(
            "headwater_events_duplicate_total", "Resends set aside within the dedup window.", ["topic"], registry=registry
        )
        self.reused = Counter(
            "headwater_event_id_reused_total", "Events landed whose id was seen before with other content.", ["topic"], registry=registry
        )
        self.late = Counter(
            "headwater_events_late_total", "Events landed later than late_hours after they happened.", ["topic"], registry=registry
        )
        self.future = Counter(
            "headwater_events_future_total", "Events landed that claim to be from the future.", ["topic"], registry=registry
        )
        self.avro = Counter(
            "headwater_avro_records_total", "Records whose value began like Avro, landed or dead letters.", ["topic"], registry=registry
        )
        self.gap = Counter(
            "headwater_gap_records_total", "Offsets that Kafka no longer had when they were wanted.", ["topic"], registry=registry
        )
        self.made_anew = Counter(
            "headwater_topics_made_anew_total",
            "Times that another topic of the same name was met; what had not landed of the one before is lost.",
            ["topic"],
            registry=registry,
        )
        self.fenced = Counter(
            "headwater_partitions_fenced_total", "Partitions lost to another worker in mid-flush.", ["topic"], registry=registry
        )
        self.flushes = Counter("headwater_flushes_total", "Flushes committed.", ["topic"], registry=registry)
        self.failures = Counter(
            "headwater_flush_failures_total", "Attempts to flush or to take over that failed and were tried again.", registry=registry
        )
        self.unknown = Counter(
            "headwater_unknown_outcomes_total",
            "Commits to a table that were refused, or answered by an error or not at all: they may be in it or not.",
            ["table"],
            registry=registry,
        )
        self.resolved = Counter(
            "headwater_unknown_outcomes_resolved_total",
            "Of these, those that were looked up in the table since: committed, or absent from it.",
            ["table", "found"],
            registry=registry,
        )
        self.loop_lag = Histogram(
            "headwater_event_loop_lag_seconds",
            "How much later than due the worker's event loop ran a timer of 50 ms.",
            registry=registry,
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
        )
        self.freshness = Gauge(
            "headwater_freshness_seconds",
            "Age, when it was committed, of the oldest record of the last flush.",
            ["topic"],
            registry=registry,
        )
        self.freshness_histogram = Histogram(
            "headwater_flush_age_seconds",
            "Age of the oldest record of each flush when it was committed.",
            ["topic"],
            registry=registry,
            buckets=(0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 3600),
        )
        self.stage = Counter(
            "headwater_stage_seconds_total", "Wall time spent in each step of the flush.", ["topic", "stage"], registry=registry
        )
        self.bytes_held = Gauge("headwater_inflight_bytes", "Bytes consumed and not landed yet.", ["topic"], registry=registry)
        self.held_bytes_max = Gauge(
            "headwater_inflight_bytes_max", "Bytes of all topics that may be held now; consuming pauses there.", registry=registry
        )
        self.partitions = Gauge("headwater_partitions_assigned", "Partitions that this worker owns.", ["topic"], registry=registry)
        self.committers = Gauge(
            "headwater_committers", "Workers that commit to the lake, as this one judges by its share of the partitions.", registry=registry
        )
        self.dedup_window = Gauge(
            "headwater_dedup_window_seconds",
            "How far back the dedup windows of this worker reach; the shortest.",
            ["topic"],
            registry=registry,
        )
        self.dedup_keys = Gauge("headwater_dedup_keys", "Keys in the dedup windows of this worker.", ["topic"], registry=registry)
        self.dedup_bytes = Gauge(
            "headwater_dedup_memory_bytes", "Memory of the dedup windows of this worker.", ["topic"], registry=registry
        )

    def declare(self, topic: str) -> None:
        """Let every counter of a topic begin at 0: an alarm sees a rise only of what is there before it."""
        for counter in (self.consumed, self.holes, self.landed, self.duplicates, self.reused, self.late, self.future, self.avro):
            counter.labels(topic)
        for counter in (self.gap, self.made_anew, self.fenced, self.flushes):
            counter.labels(topic)
        for reason in Reason:
            self.dead.labels(topic, reason)

    def declare_table(self, table: str) -> None:
        """The same for the counters of a table."""
        self.unknown.labels(table)
        for found in ("committed", "absent"):
            self.resolved.labels(table, found)

    def note_doubts(self, doubts: Doubts) -> None:
        """Add the commits whose outcome was unknown, and what was found of them."""
        met, resolved = doubts.take()
        for table, count in met.items():
            self.unknown.labels(table).inc(count)
        for (table, is_found), count in resolved.items():
            self.resolved.labels(table, "committed" if is_found else "absent").inc(count)

    def record(self, topic: str, report: FlushReport) -> None:
        """Add one landed flush. The balance consumed == landed + dead holds over any time."""
        self.flushes.labels(topic).inc()
        self.consumed.labels(topic).inc(report.consumed)
        self.holes.labels(topic).inc(report.holes)
        self.landed.labels(topic).inc(report.events)
        for reason, count in report.dead.items():
            self.dead.labels(topic, reason).inc(count)
        self.duplicates.labels(topic).inc(report.dead.get("duplicate", 0))
        self.reused.labels(topic).inc(report.reused_ids)
        self.late.labels(topic).inc(report.late)
        self.future.labels(topic).inc(report.future)
        self.avro.labels(topic).inc(report.avro)
        for stage, secs in report.stage_secs.items():
            self.stage.labels(topic, stage).inc(secs)
        if report.oldest_appended_ms is not None:
            age = max(0.0, time.time() - report.oldest_appended_ms / 1000)
            self.freshness.labels(topic).set(age)
            self.freshness_histogram.labels(topic).observe(age)


def serve_metrics(port: int, setting: str = "METRICS_PORT") -> Any:
    """Serve /metrics on the loopback interface; returns (server, thread). `setting` is what named the port.

    Raises UsageError when the port is taken.
    """
    try:
        return start_http_server(port, addr="127.0.0.1")
    except OSError as error:
        raise UsageError(
            f"Setting 'HEADWATER_{setting}' is {port}, and that port is taken ({error.strerror}); name a free one, or another HEADWATER_PORT_OFFSET."
        ) from error
