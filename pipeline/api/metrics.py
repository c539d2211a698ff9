"""Prometheus metrics of the HTTP API; every name stands in pipeline/METRICS.md."""

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

DOORS = ("put_events", "endpoints", "firehose", "kinesis", "firehose_delivery", "batch", "ndjson")


class ApiMetrics:
    """What the API says about itself. A door is the form in which events came: DOORS."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self.accepted = Counter(
            "headwater_api_items_accepted_total", "Events and endpoint updates that Kafka has acknowledged.", ["door"], registry=registry
        )
        self.rejected = Counter(
            "headwater_api_items_rejected_total", "Items that were no event, by reason; each has a record in rejected-events.",
            ["door", "reason"], registry=registry,
        )  # fmt: skip
        self.not_stored = Counter(
            "headwater_api_items_not_stored_total",
            "Items answered as not stored, since Kafka did not acknowledge them in time; clients send them again.",
            ["door"],
            registry=registry,
        )
        self.refusals = Counter(
            "headwater_api_refusals_total",
            "Requests refused before they were read, by HTTP status: 500 for a connection too many, 408 for a head too slow, 414 and 431 for "
            "one too large.",
            ["status"],
            registry=registry,
        )
        self.requests = Counter("headwater_api_requests_total", "Requests, by HTTP status.", ["status"], registry=registry)
        self.seconds = Histogram(
            "headwater_api_request_seconds",
            "Time from a request's head to its answer.",
            registry=registry,
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
        )
        self.bytes_held = Gauge("headwater_api_inflight_bytes", "Bytes of bodies and records held at this moment.", registry=registry)
        self.keys_age = Gauge("headwater_api_keys_age_seconds", "How long ago the keys in force were read.", registry=registry)
        self.endpoints = Gauge("headwater_api_endpoints", "Endpoints that the API can show.", registry=registry)
        self.endpoints_age = Gauge(
            "headwater_api_endpoints_age_seconds",
            "How long ago the moment is up to which accepted updates of endpoints are shown; -1 while none are.",
            registry=registry,
        )
        self.endpoints_merged = Counter(
            "headwater_api_endpoint_updates_merged_total",
            "Landed updates that the API has merged into the endpoints it shows.",
            registry=registry,
        )
        self.endpoints_late = Counter(
            "headwater_api_endpoint_updates_late_total",
            "Updates that came after what is shown had passed their append time; they are merged as the latest.",
            registry=registry,
        )
        self.endpoints_failures = Counter(
            "headwater_api_endpoints_failures_total",
            "Attempts to load or follow the endpoints that failed and are made again.",
            registry=registry,
        )
        for status in ("400", "408", "414", "431", "500"):
            self.refusals.labels(status)
        for door in DOORS:
            self.accepted.labels(door)
            self.not_stored.labels(door)

    def watch(self, bytes_held: Callable[[], float], keys_age_secs: Callable[[], float], endpoints_age_secs: Callable[[], float]) -> None:
        """Let the gauges ask for what they show."""
        self.bytes_held.set_function(bytes_held)
        self.keys_age.set_function(keys_age_secs)
        self.endpoints_age.set_function(endpoints_age_secs)
