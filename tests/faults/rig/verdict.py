"""Verdict V: lost 0, duplicate 0, every acknowledged record an event or a dead letter, the same payloads; said by both checkers, and the audit clean."""

import json
import time
from dataclasses import dataclass

from pipeline.config import Settings
from tests.conftest import headwater
from tests.faults.rig.check_files import check_files
from tests.faults.rig.check_sql import check_sql
from tests.faults.rig.findings import Findings, place_of
from tests.faults.rig.ledger import Ledger
from tests.stream import landed_count


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

    @property
    def defect(self) -> str:
        """What a control shows, in words; '' when there is no defect.

        Of what was lost only holes: a record after the last row of its partition may still land. Nor does the audit count: it is never clean
        where commits carry no offsets, with a fault or without one.
        """
        counts = {"lost": self.found.holes, "duplicate": self.found.duplicate, "altered": self.found.altered, "extra": self.found.extra}
        return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


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


def wait_for_rows(settings: Settings, count: int, secs_max: float = 300) -> None:
    """Until both tables together have that many rows of raw-events, by the row counts of their logs.

    Raises AssertionError when they do not get there.
    """
    end = time.monotonic() + secs_max
    while (found := landed_count(settings)) < count:
        assert time.monotonic() < end, f"after {secs_max:g} s {found:,} of {count:,} rows"
        time.sleep(0.2)
