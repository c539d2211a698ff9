"""Sends a run's messages, to Kafka or into a file of lines, at a pace, and counts them."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

from pipeline.config import Settings
from pipeline.producer import Producer
from pipeline.simulate.encoding import Encode, keep_json
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.plan import Plan
from pipeline.simulate.records import DUPLICATE, LANDED, Message
from pipeline.simulate.timeline import simulate_days, simulate_live
from schemas.errors import UsageError

FILE_ENDINGS = (".ndjson", ".jsonl", ".json")
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
MESSAGES_AT_ONCE = 5000


class Target(Protocol):
    """Where messages go."""

    @property
    def acknowledged(self) -> int:
        """Messages that are safe there."""
        ...

    def send(self, messages: list[Message]) -> list[Message]:
        """Send messages in their order; returns those that this target can hold."""
        ...

    def close(self) -> None:
        """Wait until all are safe. Raises UnavailableError when they are not."""
        ...


@dataclass(frozen=True)
class Pace:
    """How fast and how long: `rate` messages a second and `duration` seconds, 0 for no limit.

    `now` gives seconds since 1970; `wait` waits so many of them and returns True when the run is to end.
    """

    rate: float
    duration: float
    now: Callable[[], float]
    wait: Callable[[float], bool]


@dataclass(frozen=True)
class Progress:
    """How far a run is: messages sent, the share of it that is over (None when it has no end), seconds."""

    sent: int
    share: float | None
    secs: float


def run_simulation(plan: Plan, target: Target, pace: Pace, ledger: Ledger | None = None) -> Iterator[Progress]:
    """Send the messages of `plan` to `target`; one Progress for each handful of them. The ledger counts what was sent.

    Ends with the days, after the duration, or when `pace.wait` says so. The target stays open.
    """
    began = pace.now()
    sent = 0
    for share, messages in _pace_live(plan, pace) if plan.is_live else _pace_days(plan, pace):
        taken = target.send(messages)
        if ledger is not None:
            ledger.add(taken)
        sent += len(taken)
        secs = pace.now() - began
        shares = [part for part in (share, secs / pace.duration if pace.duration else None) if part is not None]
        yield Progress(sent, max(shares) if shares else None, secs)


def _pace_days(plan: Plan, pace: Pace) -> Iterator[tuple[float | None, list[Message]]]:
    at_once = min(MESSAGES_AT_ONCE, max(1, int(pace.rate / 20))) if pace.rate else MESSAGES_AT_ONCE
    began = pace.now()
    sent = 0
    for share, messages in simulate_days(plan):
        for start in range(0, len(messages), at_once):
            early = began + sent / pace.rate - pace.now() if pace.rate else 0
            if pace.wait(max(0, early)) or (pace.duration and pace.now() - began >= pace.duration):
                return
            some = messages[start : start + at_once]
            sent += len(some)
            yield share, some


def _pace_live(plan: Plan, pace: Pace) -> Iterator[tuple[float | None, list[Message]]]:
    began: float | None = None
    for messages in simulate_live(plan, pace.rate, int(pace.now() * 1000)):
        # The time that it took to fill the shop before the first message is not part of the duration.
        began = began or pace.now()
        position = 0
        while position < len(messages):
            now = pace.now()
            if pace.duration and now - began >= pace.duration:
                return
            due = bisect_right(messages, now * 1000, lo=position, key=itemgetter(0))
            if due > position:
                yield None, messages[position:due]
                position = due
            early = messages[position].sent_ms / 1000 - now if position < len(messages) else 0.0
            if pace.wait(min(0.25, max(0.0, early))):
                return


class KafkaTarget:
    """A topic. What is to land is sent as `encode` makes it; what is spoilt, as it is."""

    def __init__(self, settings: Settings, topic: str, encode: Encode = keep_json) -> None:
        """Raises UnavailableError when Kafka does not answer or lacks the topic."""
        self._producer, self._encode = Producer(settings, topic), encode
        self._producer.check_topic()

    @property
    def acknowledged(self) -> int:
        return self._producer.acknowledged

    def send(self, messages: list[Message]) -> list[Message]:
        encode = self._encode
        self._producer.send_many(
            [(message.key, encode(message.value) if message.outcome in {LANDED, DUPLICATE} else message.value) for message in messages]
        )
        return messages

    def close(self) -> None:
        self._producer.flush()


class FileTarget:
    """A file with a message a line, without their keys; packed when its name ends in .gz or .zst. An empty message has no line."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError when the file cannot be written or its name says no format."""
        self.acknowledged = 0
        compression = COMPRESSIONS.get(path.suffix)
        if Path(path.stem if compression else path.name).suffix not in FILE_ENDINGS:
            raise UsageError(
                f"Option '--to' is '{path}'; expected kafka, or a file that ends in {', '.join(FILE_ENDINGS)}, then perhaps .gz or .zst."
            )
        try:
            self._file = _open(path, compression)
        except OSError as error:
            raise UsageError(
                f"File '{path}' cannot be written ({error.strerror or error}); expected a path in a folder of yours."
            ) from None

    def send(self, messages: list[Message]) -> list[Message]:
        taken = [message for message in messages if message.value]
        self._file.write(b"".join([message.value + b"\n" for message in taken]))
        self.acknowledged += len(taken)
        return taken

    def close(self) -> None:
        self._file.close()


def _open(path: Path, compression: str | None) -> Any:
    if compression is None:
        return path.open("wb")
    import pyarrow as pa

    return pa.output_stream(str(path), compression=compression, buffer_size=1 << 20)
