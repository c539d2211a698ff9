"""Verdict V: lost 0, duplicate 0, every acknowledged record an event or a dead letter, the same payloads; said by both checkers, and the audit clean."""

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pipeline.config import Settings
from tests.conftest import headwater
from tests.faults.rig.check_files import check_files
from tests.faults.rig.check_sql import check_sql
from tests.faults.rig.findings import Findings, place_of
from tests.faults.rig.ledger import Ledger
from tests.stream import landed_count, rows


@dataclass(frozen=True)
class Verdict:
    """`found` by the checkers, which agree; what `headwater audit` says beside it."""

    found: Findings
    is_audit_clean: bool
    audit: str

    @property
    def holds(self) -> bool:
        return self.found.is_clean and self.is_audit_clean

    def require(self) -> Findings:
        """What was found.

        Raises AssertionError unless V holds.
        """
        assert self.holds, f"{self.found}\naudit: {self.audit}"
        return self.found

    def shown(self, kind: Literal["lost", "duplicate"], before: int = 0) -> str:
        """What a control shows, in words: how many records the guard that it takes away would have kept from being `lost` or `duplicate`; '' when
        none. `before` were so before the fault.

        Of what was lost only holes: a record after the last row of its partition may still land. Nor does the audit count: it is never clean
        where commits carry no offsets, with a fault or without one.
        """
        count = (self.found.holes if kind == "lost" else self.found.duplicate) - before
        return f"{kind} {count:,}" if count > 0 else ""


def judge(settings: Settings, ledger: Ledger, topic_id: str = "") -> Verdict:
    """Hold the lake against the ledger.

    Raises AssertionError when the checkers do not agree, or when the audit does not get as far as saying what it found.
    """
    ledger.flush()
    place = place_of(settings, topic_id)
    by_files, by_sql = check_files(place, ledger.path), check_sql(place, ledger.path)
    assert by_files == by_sql, f"the checkers do not agree: {by_files} by files, {by_sql} by SQL"
    audit = headwater(settings, "audit", "--json")
    try:
        is_clean = json.loads(audit.stdout)["is_clean"]
    except ValueError:
        raise AssertionError(f"the audit said nothing (exit status {audit.returncode}): {audit.stdout}{audit.stderr}") from None
    return Verdict(by_files, is_clean, audit.stdout + audit.stderr)


def count_doubled(settings: Settings) -> int:
    """Rows that stand beside another of the same record by now: what a control had before its fault."""
    found = Counter(row for table in ("events", "dead_letters") for row in rows(settings, table, ("_topic_id", "_partition", "_offset")))
    return found.total() - len(found)


def wait_for_rows(settings: Settings, count: int, secs_max: float = 300) -> None:
    """Until both tables together have that many rows of raw-events, by the row counts of their logs.

    Raises AssertionError when they do not get there.
    """
    end = time.monotonic() + secs_max
    while (found := landed_count(settings)) < count:
        assert time.monotonic() < end, f"after {secs_max:g} s {found:,} of {count:,} rows"
        time.sleep(0.2)
