"""The steps of the landing stream of endpoint updates: redact, validate, deduplicate, over the records of one flush."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from agents.dedup.identity import ENDPOINT_UPDATES
from agents.dedup.step import Deduplicate
from agents.dedup.windows import Windows
from agents.deduplicate import DedupRules
from agents.endpoint_rows import validate_updates
from agents.enrichment.addresses import Kept
from agents.flush_report import FlushReport
from agents.ingest import Stepped
from agents.land import Range
from agents.redact import RedactRules, redact_records
from agents.validate import ValidateRules
from schemas.tables import load_table


@dataclass(frozen=True)
class EndpointRules:
    """The rules of every step. `client_address`: what column client_ip keeps."""

    redact: RedactRules
    validate: ValidateRules
    deduplicate: DedupRules
    is_dedup_on: bool
    client_address: Kept


class EndpointSteps:
    """Makes rows of the table endpoint_updates. Implements agents.ingest.Steps; runs in one thread."""

    def __init__(self, rules: EndpointRules, windows: Windows, connection: duckdb.DuckDBPyConnection) -> None:
        self.rules, self.windows = rules, windows
        self._deduplicate = Deduplicate(windows, connection, rules.deduplicate, rules.is_dedup_on, ENDPOINT_UPDATES)

    def run(self, records: pa.Table, ranges: Sequence[Range], report: FlushReport) -> Stepped:
        rules = self.rules
        with report.stage("redact"):
            redacted = redact_records(records, rules.redact)
        with report.stage("validate"):
            validated = validate_updates(redacted, rules.validate, rules.client_address)
        deduplicated = self._deduplicate.run(validated.parsed, redacted, ranges, report)
        rows = deduplicated.first.select(load_table("endpoint_updates").column_names)
        report.reused_ids = deduplicated.reused_count
        return Stepped(rows, pa.concat_tables([validated.dead, deduplicated.dead]), deduplicated.keys)
