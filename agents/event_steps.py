"""The steps of the landing stream of events: avro, redact, validate, deduplicate, enrich, over the records of one flush."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from agents.avro.schemas import AvroSchemas
from agents.decode_avro import Rows, decode_records, restore_received
from agents.dedup.step import Deduplicate
from agents.dedup.windows import Windows
from agents.deduplicate import DedupRules
from agents.enrich import Enricher, EnrichRules
from agents.flush_report import FlushReport
from agents.ingest import Stepped
from agents.land import Range
from agents.redact import RedactRules, redact_records
from agents.validate import Validated, ValidateRules, validate_batch


@dataclass(frozen=True)
class EventRules:
    """The rules of every step. `late_secs` and `future_secs` say which landed events are counted as late or from the future."""

    avro: AvroSchemas
    redact: RedactRules
    validate: ValidateRules
    deduplicate: DedupRules
    enrich: EnrichRules
    is_dedup_on: bool
    late_secs: float
    future_secs: float


@dataclass(frozen=True)
class Read:
    """What the steps up to `validate` made of `records`: `redacted` holds JSON where Avro was, in `avro_rows`."""

    records: pa.Table
    redacted: pa.Table
    avro_rows: Rows
    validated: Validated
    is_redacting: bool

    def restore(self, dead: pa.Table) -> pa.Table:
        """Dead letters (DEAD) with Avro values as they were received, so that a replay sends what came; while redaction is on they keep the
        redacted JSON, as the bytes cannot be redacted."""
        return dead if self.is_redacting else restore_received(dead, self.records, self.avro_rows)


def read_records(records: pa.Table, rules: EventRules, report: FlushReport) -> Read:
    """The steps avro, redact and validate, one after the other.

    Raises UnavailableError when a schema registry is needed and does not answer.
    """
    with report.stage("avro"):
        decoded = decode_records(records, rules.avro, rules.validate)
    with report.stage("redact"):
        redacted = redact_records(decoded.records, rules.redact)
    with report.stage("validate"):
        validated = validate_batch(redacted, rules.validate, decoded.verdicts)
    return Read(records, redacted, decoded.rows, validated, rules.redact.is_on)


class EventSteps:
    """Makes rows of the table events out of stream records. Implements agents.ingest.Steps; runs in one thread."""

    def __init__(self, rules: EventRules, windows: Windows, connection: duckdb.DuckDBPyConnection) -> None:
        self.rules, self.windows = rules, windows
        self._deduplicate = Deduplicate(windows, connection, rules.deduplicate, rules.is_dedup_on)
        self._enricher = Enricher(connection, rules.enrich)

    def run(self, records: pa.Table, ranges: Sequence[Range], report: FlushReport) -> Stepped:
        rules = self.rules
        read = read_records(records, rules, report)
        validated = read.validated
        deduplicated = self._deduplicate.run(validated.parsed, read.redacted, ranges, report)
        with report.stage("enrich"):
            events = self._enricher.enrich(deduplicated.first)
        report.reused_ids = deduplicated.reused_count
        report.late, report.future = count_off_time(events, rules.late_secs, rules.future_secs)
        report.avro = len(read.avro_rows)
        return Stepped(events, read.restore(pa.concat_tables([validated.dead, deduplicated.dead])), deduplicated.keys)


def count_off_time(events: pa.Table, late_secs: float, future_secs: float) -> tuple[int, int]:
    """How many events are late, and how many from the future, against the append time: is_late and is_future of core.events."""
    if events.num_rows == 0:
        return 0, 0
    # An e-mail event's own timestamp is the send; what happened, happened when it arrived.
    is_mail = pc.starts_with(events["event_type"], "_email.")
    occurred_at = pc.if_else(is_mail, pc.coalesce(events["arrival_timestamp"], events["event_timestamp"]), events["event_timestamp"])
    behind_us = events["_appended_at"].cast(pa.int64()).to_numpy() - occurred_at.cast(pa.int64()).to_numpy()
    return int((behind_us > late_secs * 1e6).sum()), int((-behind_us > future_secs * 1e6).sum())
