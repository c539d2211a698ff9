"""Workers that kill themselves at steps of landing, are started again, perhaps under another rule, and are timed until their partitions land."""

import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.config import Settings
from pipeline.group_status import read_group
from tests.faults.rig.failpoints import STEPS, read_journal
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.watch.landed_offsets import LandedOffsets
from tests.stream import raw_events

STRIKE_SECS_MAX = 180
# Killed after these the dead letters are in, the events are not: other rules would judge other records dead.
BETWEEN_TABLES = STEPS[STEPS.index("after dead_letters commit") : STEPS.index("after events commit")]
# Of HEADWATER_MESSAGE_BYTES_MAX: the rule that changes.
SIZES = ("1000000", "1000")


@dataclass
class Kills:
    """What the kills did: how often each class counted, how often the worker came back under another rule, and seconds until it landed again."""

    counted: Counter[str] = field(default_factory=Counter)
    void: int = 0
    changed_rules: int = 0
    resume_secs: list[float] = field(default_factory=list)
    struck_again: int = 0
    """Kills of workers that had not landed again since the one before: from that one on they are timed."""


@dataclass
class _Resume:
    """A kill whose partitions have not landed again: when it was, and what each of them wanted then."""

    worker: FaultWorker
    at: float
    wanted: dict[int, int]


class Killing:
    """Kills workers until each class of `wanted` was counted so often as it stands there; one that held nothing is repeated.

    They come back at once, as supervisor has them do; with `stays_away` only when another has landed in their place.
    """

    def __init__(
        self, settings: Settings, workers: Sequence[FaultWorker], wanted: Sequence[str], chance: random.Random, stays_away: bool = False
    ) -> None:
        self.kills = Kills()
        self._settings, self._workers, self._left, self._chance = settings, workers, deque(wanted), chance
        self._offsets = LandedOffsets(settings)
        self._resumes: list[_Resume] = []
        self._struck: Counter[str] = Counter()
        self._stays_away = stays_away
        self._away: FaultWorker | None = None
        self._due: dict[str, float] = {}
        for worker in workers:
            worker.rig["HEADWATER_MESSAGE_BYTES_MAX"] = SIZES[0]
            self._arm(worker)

    def run(self) -> None:
        """The workers run, under load."""
        while self._due or self._resumes or self._away:
            self._note_resumes()
            if self._away and all(resume.worker is not self._away for resume in self._resumes):
                self._away.start()
                self._away = None
            for worker in self._workers:
                if not worker.is_running and worker is not self._away:
                    self._start_again(worker)
                assert time.monotonic() < self._due.get(worker.name, float("inf")), f"{worker.name} does not come to {worker.plan}"
            time.sleep(0.1)

    def _arm(self, worker: FaultWorker) -> None:
        """Plan the next kill; none when all are planned."""
        self._due.pop(worker.name, None)
        worker.plan = []
        if self._left:
            at = self._left.popleft()
            passes = self._chance.uniform(2, 5) if at == "random" else self._chance.randint(2, 5)
            worker.plan = [{"at": at, "pass": passes, "do": "kill"}]
            self._due[worker.name] = time.monotonic() + STRIKE_SECS_MAX

    def _start_again(self, worker: FaultWorker) -> None:
        strike = read_journal(worker.journal)[-1]
        at = str(strike["at"])
        if strike["held_bytes"] > 0:
            self.kills.counted[at] += 1
        else:
            self.kills.void += 1
            self._left.append(at)
        self._struck[at] += 1
        if at in BETWEEN_TABLES and self._struck[at] % 2:
            self.kills.changed_rules += 1
            now = worker.rig["HEADWATER_MESSAGE_BYTES_MAX"]
            worker.rig["HEADWATER_MESSAGE_BYTES_MAX"] = SIZES[1 - SIZES.index(now)]
        self._arm(worker)
        if self._stays_away:
            self._away = worker
        else:
            worker.start()
        # One that is killed before it lands again goes on resuming from the kill before: the slow ones are not left out.
        if any(resume.worker is worker for resume in self._resumes):
            self.kills.struck_again += 1
        else:
            wanted, own = self._offsets.read(), self._find_partitions(worker)
            self._resumes.append(_Resume(worker, strike["at_monotonic"], {number: wanted.get(number, 0) for number in own or wanted}))

    def _find_partitions(self, worker: FaultWorker) -> tuple[int, ...]:
        """What Kafka's group still keeps for it; none while the group is being shared out anew."""
        members = read_group(self._settings).members
        return next((one.partitions.get(raw_events(self._settings), ()) for one in members if one.instance == worker.name), ())

    def _note_resumes(self) -> None:
        if not self._resumes:
            return
        wanted, now = self._offsets.read(), time.monotonic()
        for resume in list(self._resumes):
            # Whoever has them by now.
            if all(wanted.get(partition, 0) > before for partition, before in resume.wanted.items()):
                self._resumes.remove(resume)
                self.kills.resume_secs.append(round(now - resume.at, 2))
