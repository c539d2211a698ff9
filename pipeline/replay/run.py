"""A replay: dead letters are chosen, fixed, judged as the workers would judge them, and with `is_sent` sent, each once.

Without `is_sent` nothing is written anywhere. With it, what an earlier replay began and did not end is finished first.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.config import Settings
from pipeline.kafka_records import TopicReader
from pipeline.moments import now_utc
from pipeline.replay.fix import Fix
from pipeline.replay.selection import Choice, Selection, select_letters
from pipeline.replay.sending import RefusedError, Sender, UntraceableError
from pipeline.replay.verdicts import FixedLetter, Verdicts
from pipeline.stores import build_store
from pipeline.topic_ids import find_topic
from pipeline.topology import ENDPOINT_UPDATES, LANDING_STREAMS, RAW_EVENTS, topic_name
from schemas.tables import load_table
from sinks.dead_letter_replays import Chunk, DeadLetterReplays, Letter, Origin
from sinks.lake import LakeTable

EXAMPLES_SHOWN = 3


@dataclass(frozen=True)
class ReplayOptions:
    """`is_sent`: send, not only show. `sends_invalid`: send those too that would be dead letters again by this shell's settings.
    `sends_untraceable`: send what was begun and of which Kafka no longer tells whether it was sent."""

    is_sent: bool = False
    sends_invalid: bool = False
    sends_untraceable: bool = False


@dataclass
class ReplayReport:
    """What a replay found and did, in dead letters. `meant` by the choice; of these `replayed` before, `not_replayable` (why: how
    many), `left_out` by the fix; of the others `landing` would land, `dead_again` would be dead letters again (reason: how many).

    `finished` were sent now, or found to have been sent, for replays that had not ended; `untraceable` are those of chunks of which Kafka no
    longer tells, `refused` (why) are chunks that it did not take. `taken` were begun by another replay at the same moment.
    """

    replay_id: str
    meant: int = 0
    replayed: int = 0
    not_replayable: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    changed: int = 0
    landing: int = 0
    dead_again: Counter[str] = field(default_factory=Counter)
    unredactable: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0
    taken: int = 0
    finished: int = 0
    untraceable: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def replay_dead_letters(
    settings: Settings, choice: Choice, fix: Fix, options: ReplayOptions, run_step: Callable[[str], None] = lambda step: None
) -> ReplayReport:
    """Choose, fix, judge, and send when the options say so. `run_step` is called with the name of each step before it is done.

    Raises UsageError for a choice or a fix that cannot be, FencedError when another replay takes a chunk over, UnavailableError when Kafka
    or the store does not answer: replayed again it goes on, and nothing is sent twice.
    """
    run = _Run(settings, fix, options, run_step)
    run.replay(choice)
    return run.report


class _Run:
    def __init__(self, settings: Settings, fix: Fix, options: ReplayOptions, run_step: Callable[[str], None]) -> None:
        self._settings, self._fix, self._options, self._run_step = settings, fix, options, run_step
        store = build_store(settings, is_reader=not options.is_sent)
        self._dead_letters = LakeTable(store, load_table("dead_letters"))
        self._replays = DeadLetterReplays(store)
        self._verdicts = Verdicts(settings)
        self._sender = Sender(settings, run_step)
        self.report = ReplayReport(uuid.uuid4().hex)

    def replay(self, choice: Choice) -> None:
        if not self._dead_letters.exists():
            return
        if self._options.is_sent:
            self._replays.ensure()
            self._finish_begun()
        selection = self._select(choice)
        for topic, rows in selection.chunks():
            letters = self._fix_letters(topic, rows)
            if letters and self._options.is_sent:
                # What was refused by the collector, too, is an event once it is mended; an update of an endpoint stays one.
                self._send(topic if self._is_of_updates(topic) else topic_name(self._settings, RAW_EVENTS), letters)

    def _is_of_updates(self, topic: str) -> bool:
        return topic == topic_name(self._settings, ENDPOINT_UPDATES)

    def _finish_begun(self) -> None:
        """Send what earlier replays began and did not send, or did not live to say so."""
        for chunk in self._replays.unfinished():
            try:
                self._send_begun(chunk, self._options.sends_untraceable)
            except UntraceableError:
                self.report.untraceable[chunk.chunk_id] = len(chunk.letters)
            except RefusedError as error:
                # It must not keep out what comes after it.
                self.report.refused[chunk.chunk_id] = str(error)
            else:
                self.report.finished += len(chunk.letters)

    def _select(self, choice: Choice) -> Selection:
        self._dead_letters.refresh()
        topics = [topic_name(self._settings, stream.topic) for stream in LANDING_STREAMS]
        selection = select_letters(self._dead_letters, self._replays.origins(), choice, topics)
        self.report.meant, self.report.replayed = selection.meant, selection.replayed
        self.report.not_replayable = selection.not_replayable
        return selection

    def _fix_letters(self, topic: str, rows: pa.Table) -> list[Letter]:
        """The letters of a chunk that are to be sent, fixed; the report learns what became of each."""
        found = rows.select(["_topic_id", "_partition", "_offset", "reason", "value", "key", "_payload_hash"]).to_pylist()
        shown = self._verdicts.show(rows)
        kept = []
        for row, before, after in zip(found, shown["value"].to_pylist(), self._fix.apply(shown), strict=True):
            if after is not None:
                # Avro that a fix leaves as it is is sent as it came; what it changes is sent as the JSON that it saw.
                kept.append((row, (row["value"] or b"") if after == (before or b"") else after))
        self.report.left_out += len(found) - len(kept)
        origins = [Origin(row["_topic_id"], row["_partition"], row["_offset"]) for row, _ in kept]
        judged = self._verdicts.judge(
            [value for _, value in kept], [row["key"] for row, _ in kept], [str(origin) for origin in origins], self._is_of_updates(topic)
        )
        letters = []
        for (row, _), origin, fixed in zip(kept, origins, judged, strict=True):
            self._note(topic, row, fixed)
            if fixed.value is not None and (fixed.reason is None or self._options.sends_invalid):
                letters.append(Letter(origin, row["reason"], row["_payload_hash"], fixed.key, fixed.value))
        return letters

    def _note(self, topic: str, row: dict[str, Any], fixed: FixedLetter) -> None:
        before = row["value"] or b""
        self.report.changed += fixed.value != before
        self.report.unredactable += fixed.value is None
        if fixed.reason is None:
            self.report.landing += 1
        else:
            self.report.dead_again[fixed.reason] += 1
        if len(self.report.examples) < EXAMPLES_SHOWN:
            position = f"{topic}/{row['_partition']}/{row['_offset']}"
            example = {"position": position, "reason": row["reason"], "before": before, "after": fixed.value}
            self.report.examples.append(example | {"dead_again": fixed.reason, "error": fixed.error})

    def _send(self, topic: str, letters: list[Letter]) -> None:
        """Begin a chunk of these letters, less those that another replay begins at the same moment, and send it."""
        while letters:
            self._run_step("before begin")
            chunk = self._build_chunk(topic, letters)
            taken = set(self._replays.begin(chunk, now_utc()))
            if not taken:
                self._run_step("after begin")
                self._send_begun(chunk)
                self.report.sent += len(letters)
                return
            self.report.taken += len(taken)
            letters = [letter for letter in letters if letter.origin not in taken]

    def _build_chunk(self, topic: str, letters: Sequence[Letter]) -> Chunk:
        state = find_topic(self._settings, topic)
        with TopicReader(self._settings, topic) as reader:
            ends = {number: span.end for number, span in reader.bounds(range(state.partition_count)).items()}
        return Chunk(uuid.uuid4().hex, self.report.replay_id, topic, state.topic_id, self._fix.fix_hash, ends, tuple(letters))

    def _send_begun(self, chunk: Chunk, sends_untraceable: bool = False) -> None:
        places = self._sender.send(chunk, sends_untraceable)
        self._run_step("before mark")
        self._replays.mark_sent(chunk, places, now_utc())
        self._run_step("after mark")
