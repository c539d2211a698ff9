"""The lake table `dead_letter_replays`: which dead letters were sent again, so that none is sent twice.

A chunk is what goes to Kafka in one transaction. It is committed here as begun before anything of it is sent, and as sent
afterwards. Every commit that begins a chunk raises the one application transaction `replay`, so that of two replays at the
same moment the table refuses one, which then sees what the other began. `replay/<chunk id>` is 1 for begun and 2 for sent.
"""

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import botocore.exceptions
import pyarrow as pa
import pyarrow.dataset as ds
import xxhash
from deltalake.exceptions import DeltaError

from schemas.errors import UnavailableError
from schemas.tables import load_table
from sinks.lake import CommitRefusedError, LakeTable
from sinks.store import Store

ATTEMPTS = 8
BEGUN, SENT = "begun", "sent"
_SEQUENCE = "replay"
_STORE_ERRORS = (DeltaError, OSError, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)


class Origin(NamedTuple):
    """Where a dead letter lies: what makes it one and no other."""

    topic_id: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic_id}/{self.partition}/{self.offset}"


class Place(NamedTuple):
    """Where a record is in the topic that it was sent to."""

    partition: int
    offset: int


@dataclass(frozen=True)
class Letter:
    """A dead letter as it is sent again; `value` is after the fix, `payload_hash_before` of what was first received."""

    origin: Origin
    reason: str
    payload_hash_before: int
    key: bytes | None
    value: bytes

    @property
    def payload_hash(self) -> int:
        digest = xxhash.xxh3_64_intdigest(self.value)
        return digest - (1 << 64) if digest >= 1 << 63 else digest


@dataclass(frozen=True)
class Chunk:
    """Letters that are sent in one Kafka transaction. `end_offsets`: where each partition of the topic ended before."""

    chunk_id: str
    replay_id: str
    topic: str
    topic_id: str
    fix_hash: str | None
    end_offsets: Mapping[int, int]
    letters: tuple[Letter, ...]


class DeadLetterReplays:
    """Reads and appends to the table; makes it when it is not there. One thread."""

    def __init__(self, store: Store) -> None:
        self.table = LakeTable(store, load_table("dead_letter_replays"))
        self._is_ensured = False

    def ensure(self) -> None:
        """Make the table, or add the columns that it has gained.

        Raises UnavailableError when the store does not answer.
        """
        with self._reading():
            if not self._is_ensured:
                self.table.ensure()
                self._is_ensured = True

    def origins(self) -> pa.Table:
        """One row per dead letter that was begun, with where it is now: origin_*, topic, sent_partition, sent_offset, replayed_at.

        The last three are null while it is not sent. Empty without a table. Raises UnavailableError when it cannot be read.
        """
        columns = ["origin_topic_id", "origin_partition", "origin_offset", "topic", "sent_partition", "sent_offset", "replayed_at"]
        with self._reading():
            if not self._is_ensured and not self.table.exists():
                return self.table.schema.arrow.empty_table().select(columns)
            self.table.refresh()
            rows = self.table.dataset().to_table(columns=["step", *columns])
        sent = {_origin(row): row for row in rows.filter(ds.field("step") == SENT).select(columns).to_pylist()}
        begun = rows.filter(ds.field("step") == BEGUN).select(columns).to_pylist()
        unsent = {"sent_partition": None, "sent_offset": None, "replayed_at": None}
        return pa.Table.from_pylist(
            [sent.get(_origin(row), row | unsent) for row in begun], schema=self.table.schema.arrow.empty_table().select(columns).schema
        )

    def unfinished(self) -> list[Chunk]:
        """Chunks that were begun and are not known to be sent: their replay was killed, or is at it now.

        Raises UnavailableError when the table cannot be read.
        """
        with self._reading():
            self.table.refresh()
            steps = self.table.dataset().to_table(columns=["chunk_id", "step"]).group_by(["chunk_id", "step"]).aggregate([]).to_pylist()
            sent = {row["chunk_id"] for row in steps if row["step"] == SENT}
            waiting = [row["chunk_id"] for row in steps if row["step"] == BEGUN and row["chunk_id"] not in sent]
            if not waiting:
                return []
            is_wanted = ds.field("chunk_id").isin(waiting) & (ds.field("step") == BEGUN)
            rows = self.table.dataset().to_table(columns=self.table.schema.column_names, filter=is_wanted).to_pylist()
        return [_as_chunk([row for row in rows if row["chunk_id"] == chunk_id]) for chunk_id in sorted(waiting)]

    def begin(self, chunk: Chunk, now: dt.datetime) -> list[Origin]:
        """Commit a chunk as begun; nobody else can begin any of its letters from then on.

        Returns the origins that somebody began before, in any chunk: then nothing was committed. Raises UnavailableError when the
        store did not take it; whether it did is seen when it is looked for again.
        """
        app_id = f"{_SEQUENCE}/{chunk.chunk_id}"
        rows = [_begun_row(chunk, letter, now) for letter in chunk.letters]
        for attempt in range(ATTEMPTS):
            with self._reading():
                self.table.refresh()
                if self.table.committed(app_id) is not None:
                    return []
                taken = self._begun_among(chunk.letters)
                if taken:
                    return taken
                number = (self.table.committed(_SEQUENCE) or 0) + 1
            try:
                self.table.commit(self.table.upload(self._as_table(rows)), {_SEQUENCE: number, app_id: 1})
                return []
            except (CommitRefusedError, *_STORE_ERRORS) as error:
                # Another replay began something, or the reply was lost: which one, the next look tells.
                failure = error
            time.sleep(0.1 * 2**attempt)
        raise self._unavailable(f"took no row for {len(rows)} dead letters: {failure}")

    def mark_sent(self, chunk: Chunk, places: Mapping[Origin, Place], now: dt.datetime) -> None:
        """Commit that Kafka has every letter of a chunk, and where; done once, whoever finds it out.

        Raises UnavailableError when the store did not take it; the next replay finds it out again.
        """
        app_id = f"{_SEQUENCE}/{chunk.chunk_id}"
        rows = [_sent_row(chunk, letter, places[letter.origin], now) for letter in chunk.letters]
        for attempt in range(ATTEMPTS):
            with self._reading():
                self.table.refresh()
                if (self.table.committed(app_id) or 0) >= 2:
                    return
            try:
                self.table.commit(self.table.upload(self._as_table(rows)), {app_id: 2})
                return
            except (CommitRefusedError, *_STORE_ERRORS) as error:
                failure = error
            time.sleep(0.1 * 2**attempt)
        raise self._unavailable(f"took no row for {len(rows)} dead letters that are sent: {failure}")

    def _begun_among(self, letters: Sequence[Letter]) -> list[Origin]:
        columns = ["origin_topic_id", "origin_partition", "origin_offset"]
        offsets = [letter.origin.offset for letter in letters]
        is_near = (ds.field("origin_offset") >= min(offsets)) & (ds.field("origin_offset") <= max(offsets)) & (ds.field("step") == BEGUN)
        begun = {_origin(row) for row in self.table.dataset().to_table(columns=columns, filter=is_near).to_pylist()}
        return [letter.origin for letter in letters if letter.origin in begun]

    def _as_table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        return pa.Table.from_pylist(list(rows), schema=self.table.schema.arrow)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except _STORE_ERRORS as error:
            raise self._unavailable(f"cannot be read: {error}") from None

    def _unavailable(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"Table '{self.table.uri}' {why.rstrip('.')}; see that the S3 store runs (headwater status), then replay again: what was begun is "
            "finished first, and nothing is sent twice."
        )


def _origin(row: Mapping[str, Any]) -> Origin:
    return Origin(row["origin_topic_id"], row["origin_partition"], row["origin_offset"])


def _row(chunk: Chunk, letter: Letter, now: dt.datetime) -> dict[str, Any]:
    return {
        "replay_id": chunk.replay_id,
        "chunk_id": chunk.chunk_id,
        "origin_topic_id": letter.origin.topic_id,
        "origin_partition": letter.origin.partition,
        "origin_offset": letter.origin.offset,
        "topic": chunk.topic,
        "sent_topic_id": chunk.topic_id,
        "reason": letter.reason,
        "fix_hash": chunk.fix_hash,
        "payload_hash_before": letter.payload_hash_before,
        "payload_hash_after": letter.payload_hash,
        "replayed_at": now,
    }


def _begun_row(chunk: Chunk, letter: Letter, now: dt.datetime) -> dict[str, Any]:
    ends = [(str(partition), offset) for partition, offset in chunk.end_offsets.items()]
    return _row(chunk, letter, now) | {"step": BEGUN, "key": letter.key, "value": letter.value, "end_offsets": ends}


def _sent_row(chunk: Chunk, letter: Letter, place: Place, now: dt.datetime) -> dict[str, Any]:
    return _row(chunk, letter, now) | {"step": SENT, "sent_partition": place.partition, "sent_offset": place.offset}


def _as_chunk(rows: Sequence[Mapping[str, Any]]) -> Chunk:
    first = rows[0]
    letters = [Letter(_origin(row), row["reason"], row["payload_hash_before"], row["key"], row["value"]) for row in rows]
    return Chunk(
        chunk_id=first["chunk_id"],
        replay_id=first["replay_id"],
        topic=first["topic"],
        topic_id=first["sent_topic_id"],
        fix_hash=first["fix_hash"],
        end_offsets={int(partition): offset for partition, offset in first["end_offsets"]},
        letters=tuple(sorted(letters, key=lambda letter: letter.origin)),
    )
