"""What must hold: looked at with every commit, with what a worker says of itself, and when the world has come to rest."""

import functools
from collections import defaultdict
from collections.abc import Sequence

from agents.land import Position, Range
from pipeline.landed import read_landed
from tests.faults.model.kafka import HOLE, TOPIC, Kafka
from tests.faults.model.lake import Commit, Life, Log


class ViolationError(AssertionError):
    """Something that must hold does not."""


@functools.cache
def parse(app_id: str) -> tuple[Position | None, str]:
    """(partition, suffix) of a transaction; None when it is of the topic."""
    _, topic_id, partition, *rest = app_id.split("/")
    return (Position(topic_id, int(partition)), "/".join(rest)) if partition.isdigit() else (None, app_id)


class Referee:
    """Knows who took over what, by commits that were applied and not by tokens, and which offsets have landed."""

    def __init__(self, kafka: Kafka, start_offset: str) -> None:
        self.kafka, self.start_offset = kafka, start_offset
        self.events, self.dead = Log("events", self.on_events), Log("dead_letters", self.on_dead)
        self.landed: dict[Position, set[int]] = defaultdict(set)
        self.owners: dict[Position, Life] = {}
        self.dead_owners: dict[Position, Life] = {}
        # By the life itself, and not by its id(): that of one that crashed may be given to the next.
        self.gaps: dict[Life, int] = defaultdict(int)
        """Offsets of gaps that each life committed."""
        self._first_counts: dict[str, int] = {}
        self.replaced: set[Life] = set()
        """Lives that put a topic in the place of another."""

    def on_events(self, commit: Commit) -> None:
        if commit.note is not None and "taken_over" in commit.note:
            for place in commit.note["taken_over"]:
                self._on_taken_over(Position(**place), commit)
            name = f"events/topic/{TOPIC}"
            if commit.transactions.get(name, 0) > 1:
                self.replaced.add(commit.life)
            return
        self._add_rows(commit, self.owners)
        for app_id, end in commit.transactions.items():
            position, suffix = parse(app_id)
            if position is not None and suffix == "":
                self._on_landed(position, end, commit)

    def on_dead(self, commit: Commit) -> None:
        for app_id, value in commit.transactions.items():
            position, suffix = parse(app_id)
            assert position is not None
            if suffix == "owner" and not commit.uploads:
                self.dead_owners[position] = commit.life
            elif suffix == "":
                require(value >= (self.dead.newest(app_id) or 0), f"the wanted offset of {app_id} goes back to {value}")
        self._add_rows(commit, self.dead_owners)

    def _add_rows(self, commit: Commit, owners: dict[Position, Life]) -> None:
        for upload in commit.uploads:
            require(not upload.is_swept, "a commit names a file that is gone")
            for position, offset, serial in upload.rows:
                log = self.kafka.log_of(position.topic_id, position.partition)
                if offset not in log.compacted and log.entries[offset : offset + 1] not in ([serial], []):
                    raise ViolationError(f"the row of offset {offset} of {position} is another record")
                if owners.get(position) is not commit.life:
                    raise ViolationError(f"a fenced worker put offset {offset} into {commit.log.name}")
                if offset in self.landed[position]:
                    raise ViolationError(f"offset {offset} is in a table, and came into {commit.log.name}")
                self.landed[position].add(offset)

    def _on_taken_over(self, position: Position, commit: Commit) -> None:
        self.owners[position] = commit.life
        log, name = self.kafka.log_of(position.topic_id, position.partition), position.app_id("events")
        before, after = self.events.newest(name), commit.transactions.get(name)
        if after is None:
            return
        if before is None:
            self._first_counts.setdefault(position.topic_id, len(self.kafka.topics[int(position.topic_id.removeprefix("topic-")) - 1]))
            is_added = position.partition >= self._first_counts[position.topic_id]
            if self.start_offset == "earliest" or is_added:
                lost = [offset for offset in range(log.start, min(after, log.end)) if log.entries[offset] != HOLE]
                require(not lost, f"{name} begins at {after}, behind {lost}")
            require(commit.transactions.get(f"{name}/first") == after, f"{name} begins at {after} and does not say so")
            return
        number = (self.events.newest(f"{name}/gaps") or 0) + 1
        wanted = {"/gaps": number, f"/gap/{number}/start": before, f"/gap/{number}/end": after}
        require(before < after <= log.start, f"{name} goes from {before} to {after}, and Kafka's log begins at {log.start}")
        require(
            wanted.items() <= {key.removeprefix(name): value for key, value in commit.transactions.items()}.items(), "a gap is not recorded"
        )
        self.gaps[commit.life] += after - before

    def _on_landed(self, position: Position, end: int, commit: Commit) -> None:
        name = position.app_id("events")
        require(self.owners.get(position) is commit.life, f"a fenced worker moved {name} to {end}")
        start = self.events.newest(name)
        assert start is not None
        require(end > start, f"the wanted offset of {name} goes from {start} to {end}")
        log, landed = self.kafka.log_of(position.topic_id, position.partition), self.landed[position]
        lost = [offset for offset in range(start, min(end, log.end)) if log.entries[offset] != HOLE and offset not in landed]
        require(not lost, f"offsets {lost} of {name} are in no table")
        count = sum(offset in landed for offset in range(start, end))
        for suffix, delta in (("/records", count), ("/holes", end - start - count)):
            found = commit.transactions[name + suffix] - (self.events.newest(name + suffix) or 0)
            if found != delta:
                raise ViolationError(f"{name}{suffix} grows by {found}; {delta} of {start} to {end} are right")

    def on_report(self, life: Life, landed: Sequence[Range], fenced: Sequence[Range], is_stray: bool) -> None:
        """What a flush says became of its ranges."""
        for one in landed:
            found = self.events.newest(one.position.app_id("events")) or 0
            if found < one.end:
                raise ViolationError(f"{one} is said to have landed, and {found} is wanted")
        for one in fenced:
            if not is_stray and self.owners.get(one.position) is life:
                raise ViolationError(f"{one} was fenced, and nobody else has taken over")

    def on_taken_over(self, life: Life, gaps_reported: int, is_replacement_reported: bool) -> None:
        """What a worker has reported when its take-over is done."""
        require(gaps_reported >= self.gaps[life], f"{gaps_reported} offsets were reported as gone; {self.gaps[life]} are")
        require(is_replacement_reported or life not in self.replaced, "a topic that was made anew is not reported")

    def on_stop(self, reason: str) -> None:
        """A worker stopped for good."""
        is_lost = any(
            (self.events.newest(Position(self.kafka.topic_id, number).app_id("events")) or 0) > log.end
            for number, log in enumerate(self.kafka.partitions)
        )
        require(is_lost, f"a worker stopped for nothing: {reason}")

    def on_rest(self) -> None:
        """Everything is in a table, once."""
        found = {
            one.position: one for one in read_landed("events", {app_id: values[-1][1] for app_id, values in self.events.history.items()})
        }
        for number, log in enumerate(self.kafka.partitions):
            one = found.get(Position(self.kafka.topic_id, number))
            if one is None or one.wanted != log.end:
                raise ViolationError(f"partition {number} ends at {log.end}, and the lake has {one}")
        for position, one in found.items():
            if one.has_ended != (position.topic_id != self.kafka.topic_id):
                raise ViolationError(f"{position}: has_ended is {one.has_ended}")
            log, landed = self.kafka.log_of(position.topic_id, position.partition), self.landed[position]
            in_gaps = {offset for gap in one.gaps for offset in range(gap.start, gap.end)}
            span = [offset for offset in range(one.first, one.wanted) if offset not in in_gaps]
            lost = [offset for offset in span if offset < log.end and log.entries[offset] != HOLE and offset not in landed]
            require(not lost, f"{position}: offsets {lost} are in no table")
            count = sum(offset in landed for offset in span)
            if (one.records, one.holes) != (count, len(span) - count):
                raise ViolationError(f"{position}: {one}, and {count} rows of {len(span)} offsets")


def require(is_true: bool, what: str) -> None:
    if not is_true:
        raise ViolationError(what)
