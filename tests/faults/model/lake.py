"""A Delta table in memory: its log, and the handle through which one worker reads and commits, by delta-rs' rules."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from agents.land import Position
from sinks.lake import CommitRefusedError
from sinks.lake import Upload as RealUpload

Row = tuple[Position, int, int]
# What can happen to a commit: others go on between the look and the commit; the next two leave its outcome unknown; a client that tries again by itself is refused by its own
# commit; one whose request is under way still may be applied later, if nobody has taken its version by then.
COMMIT_FAULTS = ("overtaken", "reply lost", "not applied", "refused for nothing", "applied and refused", "applied later")
FAULTS = (*COMMIT_FAULTS, "look fails", "upload fails", "held fails")


class OutageError(Exception):
    """The store did not answer, or the log was cleaned under the handle."""


class Rows(tuple[Row, ...]):
    """Rows of a table: where each comes from, and which record it is by its serial number."""

    __slots__ = ()

    @property
    def num_rows(self) -> int:
        return len(self)


@dataclass
class Upload:
    """A file that was written."""

    rows: Rows
    uploaded_at: float
    is_swept: bool = False


class Life(Protocol):
    """Who commits: the fault that waits for it is taken when it comes to where it strikes."""

    fault: str
    let_overtake: Callable[[], None]


@dataclass
class Commit:
    log: "Log"
    life: Life
    version: int
    uploads: Sequence[Upload]
    transactions: Mapping[str, int]
    note: Mapping[str, Any] | None


class Log:
    """The table as the store has it. `on_commit` is told of each commit of a worker before it is applied."""

    def __init__(self, name: str, on_commit: Callable[[Commit], None]) -> None:
        self.name, self.on_commit = name, on_commit
        self.version, self.oldest = 0, 0
        self.history: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.rows: dict[Position, list[tuple[int, int]]] = defaultdict(list)
        self.uploads: list[Upload] = []
        self.under_way: Commit | None = None

    def apply(self, commit: Commit) -> None:
        self.on_commit(commit)
        self.version += 1
        for app_id, value in commit.transactions.items():
            self.history[app_id].append((self.version, value))
        for upload in commit.uploads:
            for position, offset, _ in upload.rows:
                self.rows[position].append((self.version, offset))

    def maintain(self) -> None:
        """A compaction: a version that names no transaction of a worker and no row more."""
        self.version += 1

    def clean(self) -> None:
        """A checkpoint, and the log before it is gone."""
        self.oldest = self.version

    def settle(self) -> None:
        """The request that was under way arrives, and finds its version free or taken."""
        commit, self.under_way = self.under_way, None
        if commit is not None and commit.version == self.version:
            self.apply(commit)

    def newest(self, app_id: str) -> int | None:
        found = self.history.get(app_id)
        return found[-1][1] if found else None


class Handle:
    """What landing needs of a table, for one life of a worker."""

    def __init__(self, log: Log, life: Life, clock: Callable[[], float]) -> None:
        self.name, self._log, self._life, self._clock = log.name, log, life, clock
        self._version = 0

    def refresh(self) -> None:
        self._fail_if("look fails")
        self._version = self._log.version

    def committed(self, app_id: str) -> int | None:
        for version, value in reversed(self._log.history.get(app_id, ())):
            if version <= self._version:
                return value
        return None

    def upload(self, rows: Any) -> list[RealUpload]:
        if not rows:
            return []
        self._fail_if("upload fails")
        self._log.uploads.append(Upload(rows, self._clock()))
        return cast(list[RealUpload], self._log.uploads[-1:])

    def commit(self, uploads: Sequence[RealUpload], transactions: Mapping[str, int], note: Mapping[str, Any] | None = None) -> None:
        log, fault = self._log, self._life.fault
        if fault in COMMIT_FAULTS:
            self._life.fault = ""
        if fault == "overtaken":
            self._life.let_overtake()
        if self._version < log.oldest:
            raise OutageError("Invalid table version")
        if fault == "refused for nothing":
            raise CommitRefusedError
        if fault == "not applied":
            raise OutageError(fault)
        for app_id in transactions:
            found = log.history.get(app_id)
            if found and found[-1][0] > self._version:
                raise CommitRefusedError
        commit = Commit(log, self._life, log.version, cast(Sequence[Upload], uploads), dict(transactions), note)
        if fault == "applied later":
            log.under_way = commit
            raise OutageError(fault)
        log.apply(commit)
        if fault == "reply lost":
            raise OutageError(fault)
        if fault == "applied and refused":
            raise CommitRefusedError

    def _fail_if(self, fault: str) -> None:
        if self._life.fault == fault:
            self._life.fault = ""
            raise OutageError(fault)


class DeadHandle(Handle):
    """That of `dead_letters`."""

    def held_offsets(self, topic_id: str, partition: int, start: int) -> frozenset[int]:
        self._fail_if("held fails")
        found = self._log.rows.get(Position(topic_id, partition), ())
        return frozenset(offset for version, offset in found if version <= self._version and offset >= start)
