"""The step `deduplicate` of a flush, the same for every landing stream that has dedup windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from agents.dedup.identity import EVENTS, Identity
from agents.dedup.windows import Windows
from agents.deduplicate import Deduplicated, DedupRules, deduplicate_batch
from agents.flush_report import FlushReport
from agents.land import Range
from schemas.records import DEAD


@dataclass(frozen=True)
class Deduplicate:
    """Sets resends aside by the stream's windows, which it makes ready first; while it is not `is_on` everything is a first copy."""

    windows: Windows
    connection: duckdb.DuckDBPyConnection
    rules: DedupRules
    is_on: bool
    identity: Identity = EVENTS

    def run(self, parsed: pa.Table, records: pa.Table, ranges: Sequence[Range], report: FlushReport) -> Deduplicated:
        """Split `parsed`, which came of `records` (RECORDS), into first copies and duplicates."""
        if not self.is_on or records.num_rows == 0:
            return Deduplicated(parsed, DEAD.empty_table(), {}, 0)
        with report.stage("window"):
            windows = self.windows.ready(ranges, pc.min(records["_appended_at"]).as_py())
        with report.stage("deduplicate"):
            return deduplicate_batch(self.connection, parsed, records, windows, self.rules, self.identity)
