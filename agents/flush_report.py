"""What one flush did, for metrics and logs."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from agents.land import Position, Range


@dataclass
class FlushReport:
    """Counts of what is committed: consumed == events + dead. One report serves all attempts of a flush.

    `dead` is by reason; `held` counts those that an earlier worker had committed and did not live to count. Times of
    `stage_secs` are wall clock, seconds.
    """

    consumed: int = 0
    holes: int = 0
    events: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    reused_ids: int = 0
    late: int = 0
    future: int = 0
    avro: int = 0
    oldest_appended_ms: int | None = None
    stage_secs: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _judged_events: dict[Position, int] = field(default_factory=dict)
    _reasons: dict[Position, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stage_secs[name] += time.perf_counter() - started

    def note_judged(self, ranges: Iterable[Range], events: pa.Table, dead: pa.Table) -> None:
        """Remember what became of each range, in this attempt for events, in any for dead letters: those of an earlier attempt are held."""
        counted = pc.value_counts(events["_partition"])
        counts = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
        for one in ranges:
            self._judged_events[one.position] = counts.get(one.position.partition, 0)
        positions = {one.position.partition: one.position for one in ranges}
        for partition, offset, reason in zip(*(dead[name].to_pylist() for name in ("_partition", "_offset", "reason")), strict=True):
            self._reasons[positions[partition]][offset] = reason

    def note_landed(self, landed: Iterable[Range]) -> None:
        """Count ranges that are committed, once each."""
        for one in landed:
            events, reasons = self._judged_events.pop(one.position, 0), self._reasons.pop(one.position, {})
            self.consumed += one.record_count
            self.holes += one.hole_count
            self.events += events
            self.dead.update(reasons.values())
            self.dead["held"] += one.record_count - events - len(reasons)
        self.dead += Counter()
