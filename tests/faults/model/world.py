"""An interleaving: one small world, what happens in it as the choices say, until it has come to rest."""

from typing import Literal

from tests.faults.model.choices import Choices
from tests.faults.model.kafka import HOLE, Kafka
from tests.faults.model.lake import FAULTS
from tests.faults.model.referee import Referee, require
from tests.faults.model.worker import UPLOAD_SECS_MAX, Worker

_WORKER_FAULTS = (*FAULTS, "fails after landing", "records are skipped", "a stray batch", "a batch comes twice", "a step loses a record")
_BURSTS = (1, 2, 4, 9)
_STEPS_TO_REST = 400


class World:
    """`trace` says what happened, line by line, when it is wanted; `step_count` is of all workers."""

    def __init__(self, choices: Choices, is_traced: bool = False) -> None:
        self.choices, self.now, self.step_count = choices, 0.0, 0
        self.trace: list[str] | None = [] if is_traced else None
        partition_count = 1 + choices.pick(2)
        self.kafka = Kafka(partition_count)
        self.start_offset: Literal["earliest", "latest"] = "latest" if choices.pick(4) == 3 else "earliest"
        self.referee = Referee(self.kafka, self.start_offset)
        for partition in range(partition_count):
            for _ in range(2 + choices.pick(3)):
                self.kafka.produce(partition, choices.pick(5) == 4)
            self.kafka.partitions[partition].start = choices.pick(2)
        count = 2 + (choices.pick(3) == 2)
        self.workers: list[Worker] = []
        for number in range(count):
            self.kafka.assigned[number] = frozenset(range(partition_count)) if number == 0 else frozenset()
            self.workers.append(self._start(number, 0))

    def run(self) -> None:
        """Raises ViolationError when something does not hold."""
        choices = self.choices
        faults, step_count = 2 + choices.pick(6), 15 + choices.pick(40)
        while step_count > 0:
            if faults and choices.happens(0.25):
                faults -= 1
                self._happen()
            worker = self.workers[choices.pick(len(self.workers))]
            burst = _BURSTS[choices.pick(len(_BURSTS))]
            step_count -= burst
            for _ in range(burst):
                self._step(worker)
        self._come_to_rest()

    def _start(self, number: int, rules: int) -> Worker:
        return Worker(number, rules, self.kafka, self.referee, self.start_offset, lambda: self.now, self._overtake)

    def _overtake(self, number: int) -> None:
        """Between a worker's last look and its commit another one goes on."""
        rival = self.workers[(number + 1 + self.choices.pick(len(self.workers) - 1)) % len(self.workers)]
        if not rival.steps.gi_running:  # type: ignore[attr-defined]
            for _ in range(1 + self.choices.pick(12)):
                self._step(rival)

    def _step(self, worker: Worker) -> None:
        step = next(worker.steps, "has stopped")
        self.step_count += 1
        if self.trace is not None:
            self.trace.append(f"worker {worker.number} ({worker.rules}): {step}")

    def _say(self, what: str) -> None:
        if self.trace is not None:
            self.trace.append(f"--- {what}")

    def _happen(self) -> None:
        """One of the things that go wrong, or only on."""
        choices = self.choices
        what = choices.pick(24)
        partition = choices.pick(len(self.kafka.partitions))
        worker = self.workers[choices.pick(len(self.workers))]
        if what < 10:
            self._happen_to_a_worker(what, worker)
        elif what < 14:
            self._assign(what, partition, worker.number)
        elif what < 18:
            self._happen_in_kafka(what, partition)
        elif what == 21:
            self._change_topic(partition)
        else:
            self._happen_in_the_lake(what)

    def _happen_to_a_worker(self, what: int, worker: Worker) -> None:
        if what < 2:
            self._say(f"worker {worker.number} loses its partitions, and is overtaken at its next commit")
            worker.fault = "overtaken"
            everything = frozenset(range(len(self.kafka.partitions)))
            for number in self.kafka.assigned:
                self.kafka.assigned[number] = frozenset() if number == worker.number else everything
        elif what < 7:
            worker.fault = _WORKER_FAULTS[self.choices.pick(len(_WORKER_FAULTS))]
            self._say(f"worker {worker.number} will meet: {worker.fault}")
        else:
            self._crash(worker)

    def _assign(self, what: int, partition: int, owner: int) -> None:
        assigned = self.kafka.assigned
        if what < 13:
            self._say(f"partition {partition} goes to worker {owner}")
            for number, before in assigned.items():
                assigned[number] = before | {partition} if number == owner else before - {partition}
        else:
            self._say(f"worker {owner} believes that partition {partition} is its own, too")
            assigned[owner] |= {partition}

    def _happen_in_kafka(self, what: int, partition: int) -> None:
        choices, kafka, log = self.choices, self.kafka, self.kafka.partitions[partition]
        if what < 16:
            if not kafka.is_tail_lost:
                self._say(f"a record more in partition {partition}")
                kafka.produce(partition, is_hole=choices.pick(5) == 4)
        elif what == 16:
            log.start = min(log.end, log.start + 1 + choices.pick(4))
            self._say(f"retention: partition {partition} begins at {log.start}")
        elif what == 17 and log.end > log.start:
            offset = log.start + choices.pick(log.end - log.start)
            if log.entries[offset] != HOLE:
                log.compact(offset)
            self._say(f"compaction of the topic: offset {offset} of partition {partition} is gone")

    def _happen_in_the_lake(self, what: int) -> None:
        table = (self.referee.events, self.referee.dead)[what % 2]
        if what < 20:
            self._say(f"a compaction of {table.name}, then a checkpoint, and the log is cleaned")
            table.maintain()
            table.clean()
        elif what == 20:
            self._sweep()
        else:
            self._say(f"requests that were under way arrive at {table.name}")
            table.settle()

    def _crash(self, worker: Worker) -> None:
        """The next life may have other rules."""
        self._say(f"worker {worker.number} crashes")
        self.workers[worker.number] = self._start(worker.number, self.choices.pick(3))

    def _sweep(self) -> None:
        self._say("a long while passes, and a full vacuum deletes uploads that no commit names")
        self.now += 3 * UPLOAD_SECS_MAX
        for table in (self.referee.events, self.referee.dead):
            # No request is under way for so long.
            table.under_way = None
            for upload in table.uploads:
                upload.is_swept |= self.now - upload.uploaded_at > 2 * UPLOAD_SECS_MAX

    def _change_topic(self, partition: int) -> None:
        kafka, what = self.kafka, self.choices.pick(3)
        if what == 0 and not kafka.is_tail_lost:
            worker = self.workers[self.choices.pick(len(self.workers))]
            self._say(f"the topic is made anew, and worker {worker.number} hears of it first")
            kafka.make_anew()
            kafka.produce(0)
            kafka.assigned[worker.number] = frozenset(range(len(kafka.partitions)))
            for _ in range(self.choices.pick(16)):
                self._step(worker)
        elif what == 1 and len(kafka.partitions) < 3:
            self._say("a partition is added")
            kafka.partitions.append(type(kafka.partitions[0])())
            kafka.produce(len(kafka.partitions) - 1)
            number = self.choices.pick(len(self.workers))
            kafka.assigned[number] |= {len(kafka.partitions) - 1}
        elif kafka.partitions[partition].end > kafka.partitions[partition].start:
            self._say(f"Kafka loses the end of partition {partition}, and its producers are stopped")
            kafka.is_tail_lost = True
            kafka.partitions[partition].entries.pop()

    def _come_to_rest(self) -> None:
        """No fault more: one worker gets everything, all wake up in some order, records come in again."""
        kafka, choices = self.kafka, self.choices
        owner, is_zombie_first = choices.pick(len(self.workers)), choices.pick(2) == 1
        self._say(f"all goes to worker {owner}")
        for table in (self.referee.events, self.referee.dead):
            table.settle()
        everything = frozenset(range(len(kafka.partitions)))
        for number in kafka.assigned:
            kafka.assigned[number] = everything if number == owner else frozenset()
        for number, worker in enumerate(self.workers):
            worker.fault = ""
            if worker.is_stopped and not kafka.is_tail_lost:
                self._crash(self.workers[number])
        order = sorted(range(len(self.workers)), key=lambda number: (number == owner) == is_zombie_first)
        for _ in range(2):
            for number in order:
                self._rest(self.workers[number])
            if not kafka.is_tail_lost:
                for partition in everything:
                    kafka.produce(partition)
        self._rest(self.workers[owner])
        if kafka.is_tail_lost:
            # It may have been asleep at its last look: the next one to take over looks again.
            self._crash(self.workers[owner])
            self._rest(self.workers[owner])
        if not self.workers[owner].is_stopped:
            self.referee.on_rest()

    def _rest(self, worker: Worker) -> None:
        worker.is_idle = False
        for _ in range(_STEPS_TO_REST):
            self._step(worker)
            if worker.is_stopped or worker.is_idle:
                return
        require(False, f"worker {worker.number} does not come to rest")


def play(choices: Choices, is_traced: bool = False) -> tuple[AssertionError | None, World]:
    """One interleaving; what was violated, if anything."""
    world = World(choices, is_traced)
    try:
        world.run()
    except AssertionError as error:
        return error, world
    return None, world
