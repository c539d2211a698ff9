"""The step `land`: contiguous ranges of a topic become rows of the lake, each record in exactly one table, once.

The truth is the lake, not Kafka's committed offsets. Every commit carries, for each partition, application transactions
whose ids start with `<table>/<topic id>/<partition>`:

    <no suffix>   next offset wanted                      /owner     fencing token of the worker that may commit
    /records      records landed since the first          /holes     offsets that held no record (markers, compaction)
    /first        first offset wanted                     /gaps      how often records were gone before they were read
    /gap/<n>/start, /gap/<n>/end                          which
    (`<table>/<topic id>/partition_count`: how many partitions the topic had when it was first seen; which topic a name stands
    for: agents/incarnation.py)

A worker that is assigned a partition takes it over first: it raises the owner token in `events` and in `dead_letters`. From
then on a commit of the worker before it is refused by Delta itself, because both carry the same transaction id; and when
that worker looks again, the token is not its own. So a zombie loses without lease, lock or clock.

A flush commits `dead_letters` first, then `events`. Kept records of `dead_letters` from the wanted offset on stay dead for
ever ("held"); everything else is judged afresh. So a crash between the two commits never puts a record into both tables or
into neither, even with other code or settings after it.

Generators yield a step's name before each effect. The worker runs them through; a test stops, kills or interleaves there.
"""

import dataclasses
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from agents.doubts import Doubts
from agents.incarnation import is_replacement, plan_incarnation
from sinks.lake import CommitRefusedError, Upload

Steps = Generator[str, None, None]


class Table(Protocol):
    """What landing needs of a lake table; sinks.lake.LakeTable is the real one."""

    name: str

    def refresh(self) -> None: ...
    def committed(self, app_id: str) -> int | None: ...
    def upload(self, rows: pa.Table) -> list[Upload]: ...
    def commit(self, uploads: Sequence[Upload], transactions: Mapping[str, int], note: Mapping[str, Any] | None = None) -> None: ...


class DeadLetterTable(Table, Protocol):
    def held_offsets(self, topic_id: str, partition: int, start: int) -> frozenset[int]: ...


@dataclasses.dataclass(frozen=True)
class Position:
    """A partition of a topic, as the lake knows it."""

    topic_id: str
    partition: int

    def app_id(self, table: str, suffix: str = "") -> str:
        return f"{table}/{self.topic_id}/{self.partition}{suffix}"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A partition to take over: where Kafka's log of it begins and ends, and how many partitions its topic has."""

    position: Position
    earliest: int
    latest: int
    partition_count: int


@dataclasses.dataclass(frozen=True)
class Range:
    """Consumed records of a partition: offsets [start, end), of which `record_count` were records; the others are holes."""

    position: Position
    start: int
    end: int
    record_count: int

    @property
    def hole_count(self) -> int:
        return self.end - self.start - self.record_count

    def with_gone(self, held: Collection[int], held_count: int) -> "Range":
        """The range with those records, too, that compaction of the topic took away after they had become dead letters: their rows are there.

        `held` are offsets of dead letters, of which `held_count` were consumed again.
        """
        gone_count = sum(self.start <= offset < self.end for offset in held) - held_count
        return dataclasses.replace(self, record_count=self.record_count + gone_count)


@dataclasses.dataclass(frozen=True)
class Judged:
    """What the steps made of some ranges: rows for both tables, and how many records of each partition were held already."""

    events: pa.Table
    dead: pa.Table
    held: Mapping[Position, int] = dataclasses.field(default_factory=dict)

    @property
    def held_count(self) -> int:
        return sum(self.held.values())

    def dead_offsets(self, position: Position) -> frozenset[int]:
        """Offsets of a partition that became dead letters."""
        is_here = pc.and_(pc.equal(self.dead["_partition"], position.partition), pc.equal(self.dead["_topic_id"], position.topic_id))
        return frozenset(self.dead["_offset"].filter(is_here).to_pylist())


@dataclasses.dataclass
class Owned:
    """What this worker knows of a partition that it took over."""

    token: int
    wanted: int
    held: frozenset[int] | None
    """Offsets from `wanted` on that `dead_letters` holds; None as long as the outcome of a commit there is unknown."""


@dataclasses.dataclass(frozen=True)
class Gap:
    """Offsets [start, end) that Kafka no longer had when they were wanted."""

    position: Position
    start: int
    end: int


class EndedTopicError(Exception):
    """Another topic has the name by now, and somebody has taken it over: this one must not come back in its place."""


class LostTailError(Exception):
    """The wanted offset lies beyond the end of Kafka's log: records that landed are gone from Kafka, their offsets will be given again."""

    def __init__(self, position: Position, wanted: int, latest: int) -> None:
        self.position, self.wanted, self.latest = position, wanted, latest
        super().__init__(
            f"Partition {position.partition} of topic id {position.topic_id} ends at offset {latest}, and the lake has landed up to {wanted}: "
            "Kafka lost the end of its log, and new records would take offsets that have landed. Stop the producers, make a new topic, and go on there."
        )


class UnbalancedError(AssertionError):
    """Good, dead and held records do not add up to what was consumed: a step lost or doubled a record. Nothing was committed."""


Judge = Callable[[Sequence[Range], Mapping[Position, frozenset[int]]], Judged]
Clock = Callable[[], float]


class Landing:
    """Lands the ranges of one landing stream in `events` and `dead_letters`. Runs in one thread.

    `start_offset` is where a topic begins that the lake has never seen; `clock` is monotonic, seconds. `gaps` and
    `is_topic_replaced` say what the last take-over found; whoever reports it empties them. `doubts` are of commits that had no answer.
    """

    def __init__(
        self,
        topic: str,
        events: Table,
        dead_letters: DeadLetterTable,
        start_offset: Literal["earliest", "latest"],
        upload_secs_max: float,
        clock: Clock,
    ) -> None:
        self.topic, self.events, self.dead_letters = topic, events, dead_letters
        self.start_offset, self.upload_secs_max, self.clock = start_offset, upload_secs_max, clock
        self.owned: dict[Position, Owned] = {}
        self.gaps: list[Gap] = []
        self.is_topic_replaced = False
        self.doubts = Doubts()
        self._planned_gaps: dict[str, Gap] = {}
        self._planned_replacement: dict[str, int] = {}

    def take_over(self, candidates: Sequence[Candidate], is_present: Callable[[], bool] = lambda: True) -> Steps:
        """Become the one worker that may commit these partitions; afterwards `owned` has each with the offset to read from.

        A topic that the lake has never seen starts as `start_offset` says, a partition added to a known topic at its beginning;
        that start is committed before the first poll. Records that Kafka no longer has are a gap: counted, its offsets kept in
        the table, and added to `gaps`. The first to meet a topic that was made anew sets `is_topic_replaced`.

        `is_present` is asked before a topic takes the place of another: whether its name still stands for it.

        Raises LostTailError when a wanted offset lies beyond the end of Kafka's log, EndedTopicError when the topic is not present.
        """
        taken: dict[Position, Owned] = {}
        while True:
            yield "before take-over"
            self.events.refresh()
            self.dead_letters.refresh()
            self.doubts.resolve(self.events)
            self.doubts.resolve(self.dead_letters)
            taken = {}
            transactions = self._plan_incarnations(candidates)
            if is_replacement(transactions):
                if not is_present():
                    raise EndedTopicError
                self._planned_replacement = dict(transactions)
            for candidate in candidates:
                self._plan_take_over(candidate, taken, transactions)
            try:
                self.events.commit([], transactions, {"taken_over": [dataclasses.asdict(candidate.position) for candidate in candidates]})
                break
            except CommitRefusedError:
                continue
        yield "after take-over of events"
        while True:
            self.dead_letters.refresh()
            tokens = {position.app_id(self.dead_letters.name, "/owner"): owned.token for position, owned in taken.items()}
            # A token that is higher already is that of somebody who took over after us; our first flush will find out.
            tokens = {app_id: token for app_id, token in tokens.items() if token > (self.dead_letters.committed(app_id) or 0)}
            if not tokens:
                break
            try:
                self.dead_letters.commit([], tokens)
                break
            except CommitRefusedError:
                continue
        self.dead_letters.refresh()
        self.events.refresh()
        for position, owned in taken.items():
            owned.held = self.dead_letters.held_offsets(position.topic_id, position.partition, owned.wanted)
        self.owned.update(taken)
        self._report_what_was_planned()
        yield "after take-over"

    def look_back(self) -> None:
        """Report what a take-over that failed after its commit has found: nobody else will meet that gap."""
        if self._planned_gaps or self._planned_replacement:
            self.events.refresh()
            self.doubts.resolve(self.events)
            self._report_what_was_planned()

    def release(self, positions: Iterable[Position]) -> None:
        """Forget partitions that were revoked."""
        for position in positions:
            self.owned.pop(position, None)

    def flush(self, ranges: Sequence[Range], judge: Judge, fenced: list[Range], landed: list[Range]) -> Steps:
        """Land ranges, all partitions in one commit. Each ends in `landed` or, when another worker owns it by now, in `fenced`.

        `judge` must be pure: it is called again for what remains after a conflict. Errors of the store go to the caller, who
        calls again: what was committed by then is found out from the table.

        Raises UnbalancedError when the steps lost or doubled a record.
        """
        pending = list(ranges)
        while pending:
            pending = yield from self._settle(pending, fenced, landed)
            if not pending:
                return
            held = self._look_at_held(pending)
            judged = judge(pending, held)
            check_balance(pending, judged)
            counted = [one.with_gone(held[one.position], judged.held.get(one.position, 0)) for one in pending]
            if (yield from self._commit_dead_letters(pending, judged, held)) and (yield from self._commit_events(counted, judged.events)):
                for one in pending:
                    self._advance(one, self.owned[one.position], held[one.position])
                landed.extend(pending)
                return

    def _settle(self, pending: Sequence[Range], fenced: list[Range], landed: list[Range]) -> Generator[str, None, list[Range]]:
        """Look at the table: which ranges are in, which are lost to another worker, which remain."""
        yield "before look"
        self.events.refresh()
        self.doubts.resolve(self.events)
        remaining = []
        for one in pending:
            owned = self.owned.get(one.position)
            wanted = self.events.committed(one.position.app_id(self.events.name))
            token = self.events.committed(one.position.app_id(self.events.name, "/owner"))
            if owned is None or token != owned.token:
                self.owned.pop(one.position, None)
                fenced.append(one)
            elif wanted == one.end:
                self._advance(one, owned, owned.held)
                landed.append(one)
            elif wanted == one.start:
                remaining.append(one)
            else:
                self.owned.pop(one.position, None)
                fenced.append(one)
        return remaining

    def _commit_dead_letters(
        self, pending: Sequence[Range], judged: Judged, held: Mapping[Position, frozenset[int]]
    ) -> Generator[str, None, bool]:
        """Commit dead letters; False when the ranges must be looked at and judged again.

        Without rows there is nothing to commit: the token keeps a zombie out of this table as it does out of `events`.
        """
        if judged.dead.num_rows == 0:
            return True
        yield "before dead_letters upload"
        uploads = self.dead_letters.upload(judged.dead)
        yield "after dead_letters upload"
        yield "before dead_letters commit"
        if not self._is_held_unknown(pending):
            self.dead_letters.refresh()
            self.doubts.resolve(self.dead_letters)
        # Otherwise a commit of before may still be on its way, given up by us and not by the store: only on the version of which
        # `held` was read is ours refused when it came through since.
        transactions = {}
        for one in pending:
            token_id, wanted_id = (one.position.app_id(self.dead_letters.name, suffix) for suffix in ("/owner", ""))
            if self.dead_letters.committed(token_id) != self.owned[one.position].token:
                return False
            transactions[token_id] = self.owned[one.position].token
            transactions[wanted_id] = max(self.dead_letters.committed(wanted_id) or 0, one.end)
        if self._is_stale(uploads):
            return False
        for one in pending:
            self.owned[one.position].held = None
        try:
            with self.doubts.watch(self.dead_letters.name, transactions):
                self.dead_letters.commit(uploads, transactions)
        except CommitRefusedError:
            return False
        for one in pending:
            self.owned[one.position].held = held[one.position] | judged.dead_offsets(one.position)
        yield "after dead_letters commit"
        return True

    def _look_at_held(self, pending: Sequence[Range]) -> dict[Position, frozenset[int]]:
        """Offsets from the wanted one on that `dead_letters` holds; read from the table as long as a commit's outcome is unknown."""
        if self._is_held_unknown(pending):
            self.dead_letters.refresh()
            self.doubts.resolve(self.dead_letters)
        found = {}
        for one in pending:
            owned, position = self.owned[one.position], one.position
            read = owned.held
            found[position] = self.dead_letters.held_offsets(position.topic_id, position.partition, owned.wanted) if read is None else read
        return found

    def _is_held_unknown(self, pending: Sequence[Range]) -> bool:
        return any(self.owned[one.position].held is None for one in pending)

    def _commit_events(self, pending: Sequence[Range], events: pa.Table) -> Generator[str, None, bool]:
        """Commit events; False when it was refused or not tried: the table must be looked at."""
        yield "before events upload"
        uploads = self.events.upload(events)
        yield "after events upload"
        yield "before events commit"
        transactions: dict[str, int] = {}
        for one in pending:
            transactions[one.position.app_id(self.events.name)] = one.end
            transactions[one.position.app_id(self.events.name, "/owner")] = self.owned[one.position].token
            for suffix, count in (("/records", one.record_count), ("/holes", one.hole_count)):
                app_id = one.position.app_id(self.events.name, suffix)
                transactions[app_id] = (self.events.committed(app_id) or 0) + count
        if self._is_stale(uploads):
            return False
        try:
            with self.doubts.watch(self.events.name, transactions):
                self.events.commit(uploads, transactions)
        except CommitRefusedError:
            return False
        yield "after events commit"
        return True

    def _is_stale(self, uploads: Collection[Upload]) -> bool:
        """Files that lay about for long may have been swept away as orphans: they are never committed, the records are read again."""
        return any(self.clock() - upload.uploaded_at > self.upload_secs_max for upload in uploads)

    def _advance(self, one: Range, owned: Owned, held: frozenset[int] | None) -> None:
        """The range has landed. What a commit of unknown outcome put into `dead_letters` lies before its end: what is held behind it is known."""
        owned.wanted = one.end
        owned.held = None if held is None else frozenset(offset for offset in held if offset >= one.end)

    def _plan_incarnations(self, candidates: Sequence[Candidate]) -> dict[str, int]:
        transactions: dict[str, int] = {}
        for topic_id in {candidate.position.topic_id for candidate in candidates}:
            transactions |= plan_incarnation(self.events.name, self.topic, topic_id, self.events.committed)
        return transactions

    def _report_what_was_planned(self) -> None:
        """Gaps and a replaced topic, once they are in the table: a commit whose reply was lost is found there, not in its plan."""
        for app_id, gap in self._planned_gaps.items():
            if self.events.committed(app_id) == gap.end:
                self.gaps.append(gap)
        self.is_topic_replaced |= any(self.events.committed(app_id) == own for app_id, own in self._planned_replacement.items())
        self._planned_gaps, self._planned_replacement = {}, {}

    def _plan_take_over(self, candidate: Candidate, taken: dict[Position, Owned], transactions: dict[str, int]) -> None:
        """Fill in what taking this partition over commits and what it gives."""
        position, name = candidate.position, self.events.name

        def found(suffix: str) -> int | None:
            return self.events.committed(position.app_id(name, suffix))

        wanted = found("")
        token = max(found("/owner") or 0, self.dead_letters.committed(position.app_id(self.dead_letters.name, "/owner")) or 0) + 1
        transactions[position.app_id(name, "/owner")] = token
        if wanted is None:
            wanted = self._choose_start(candidate, transactions)
            transactions[position.app_id(name)] = wanted
            transactions[position.app_id(name, "/first")] = wanted
        elif wanted > candidate.latest:
            raise LostTailError(position, wanted, candidate.latest)
        elif wanted < candidate.earliest:
            gap = Gap(position, wanted, candidate.earliest)
            number = (found("/gaps") or 0) + 1
            transactions[position.app_id(name)] = candidate.earliest
            transactions[position.app_id(name, "/gaps")] = number
            transactions[position.app_id(name, f"/gap/{number}/start")] = gap.start
            transactions[position.app_id(name, f"/gap/{number}/end")] = gap.end
            self._planned_gaps[position.app_id(name, f"/gap/{number}/end")] = gap
            wanted = gap.end
        taken[position] = Owned(token, wanted, frozenset())

    def _choose_start(self, candidate: Candidate, transactions: dict[str, int]) -> int:
        """Where a partition begins that has no row yet. How many partitions its topic had when it was first seen is kept:
        one of these begins by the policy, one that was added later at its beginning."""
        count_id = f"{self.events.name}/{candidate.position.topic_id}/partition_count"
        known_count = self.events.committed(count_id)
        if known_count is None:
            transactions[count_id] = candidate.partition_count
        is_added = known_count is not None and candidate.position.partition >= known_count
        return candidate.latest if self.start_offset == "latest" and not is_added else candidate.earliest


def check_balance(ranges: Sequence[Range], judged: Judged) -> None:
    """Good, dead (duplicates among them) and held must be what was consumed."""
    consumed = sum(one.record_count for one in ranges)
    accounted = judged.events.num_rows + judged.dead.num_rows + judged.held_count
    if consumed != accounted:
        raise UnbalancedError(
            f"{consumed} records were consumed, {judged.events.num_rows} became events, {judged.dead.num_rows} dead letters, "
            f"{judged.held_count} were dead letters already: {accounted - consumed:+} records. Nothing was committed."
        )
