"""The import itself: each file is hashed, looked up, read, sent, and remembered for ever once Kafka has acknowledged all of it."""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pipeline.config import Settings
from pipeline.imports.event_files import EventFiles, ImportOptions
from pipeline.imports.formats import Format
from pipeline.imports.kinds import Kind, LeftOut
from pipeline.imports.ledger import Acknowledgements, Ledger, Progress, unfinished
from pipeline.imports.outcome import Outcome, RejectedRows, Status
from pipeline.imports.places import Places, StoredFile, hash_content
from pipeline.imports.read import batches
from pipeline.imports.rows import BrokenFileError, BusyFileError, FileError, OpenEndError, Row, RowError
from pipeline.imports.watch import Watch
from pipeline.moments import Now, now_utc
from pipeline.producer import Producer
from pipeline.stores import build_store
from pipeline.topics import ensure_topics
from pipeline.topology import topic_name
from schemas.errors import UnavailableError, UsageError
from sinks.imports import FinishedImport, Imports

LEDGER_SECS = 0.25
COMMIT_SECS = 5.0
COMMIT_FILES = 100
FLUSH_SECS_MAX = 300

OnBatch = Callable[[Outcome], None]


def import_addresses(settings: Settings, addresses: Sequence[str], options: ImportOptions, now: Now = now_utc) -> list[Outcome]:
    """Import every file at the addresses (files, folders, s3:// addresses), in order; one outcome for each.

    A file that cannot be read does not stop the others. Started again after any kind of end, it goes on where Kafka had acknowledged.

    Raises UsageError for an address that is not there, UnavailableError when Kafka or S3 does not answer: what was sent is in the ledger.
    """
    places = Places(lambda: build_store(settings))
    files = [file for address in addresses for file in places.find_files(address)]
    kind = EventFiles(settings.home / "imports", options)
    return import_files(open_run(settings, kind, places, options.is_dry_run, now), files, options.shows_progress)


def open_run(settings: Settings, kind: Kind, places: Places, is_dry_run: bool = False, now: Now = now_utc) -> "ImportRun":
    """A run of import, ready to read files. Raises UnavailableError when Kafka or S3 does not answer."""
    if is_dry_run:
        return ImportRun(settings, kind, places, now, producer=None, imports=None)
    imports = Imports(build_store(settings))
    ensure_topics(settings)
    producer = Producer(settings, topic_name(settings, kind.topic), on_acknowledged=_acknowledged)
    return ImportRun(settings, kind, places, now, producer, imports)


def import_files(run: "ImportRun", files: Sequence[StoredFile], shows_progress: bool) -> list[Outcome]:
    """Import files in order under one progress bar; one outcome for each."""
    with Watch(sum(file.size for file in files), shows_progress) as watch, run:
        outcomes = []
        for file in files:
            outcomes.append(run.import_file(file, watch))
            watch.file_done(file.size)
    return outcomes


def _acknowledged(tag: Any, partition: int, offset: int) -> None:
    acknowledgements, number = tag
    acknowledgements.acknowledged += 1
    acknowledgements.add(number)


class ImportRun:
    """One run of import. Its finished files are committed to the lake's table in groups; until then their locks are held.

    `on_batch` hears after each batch how far a file is, `on_imported` of a file that is through, before the lake's table knows of it;
    what they raise ends the run, and the next one goes on from there.
    """

    def __init__(
        self, settings: Settings, kind: Kind, places: Places, now: Now, producer: Producer | None, imports: Imports | None
    ) -> None:
        self._settings, self._kind, self._places, self._now = settings, kind, places, now
        self._producer, self._imports = producer, imports
        self.on_batch: OnBatch | None = None
        self.on_imported: OnBatch | None = None
        self._finished: list[FinishedImport] = []
        self._ledgers: list[Ledger] = []
        self._locks = ExitStack()
        self._committed_at = time.monotonic()

    def __enter__(self) -> "ImportRun":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._locks:
            if kind is None or not issubclass(kind, UnavailableError):
                self.commit()

    def import_file(self, file: StoredFile, watch: Watch) -> Outcome:
        outcome = Outcome(file.address)
        try:
            file_format = self._kind.detect(file)
            if file_format is None:
                outcome.status, outcome.message = Status.IGNORED, "neither its name nor its content is a format that is read"
                return outcome
            self._import(file, file_format, outcome, watch)
        except BusyFileError as error:
            outcome.status, outcome.message, outcome.is_busy = Status.FAILED, str(error), True
        except BrokenFileError as error:
            outcome.status, outcome.message = Status.BROKEN, str(error)
        except FileError as error:
            outcome.status, outcome.message = Status.FAILED, str(error)
        return outcome

    def _import(self, file: StoredFile, file_format: Format, outcome: Outcome, watch: Watch) -> None:
        # An empty file is the beginning of every other.
        shorter = [progress for progress in unfinished(self._kind.folder) if 0 < progress.size < file.size and not self._kind.is_again]
        hashes = hash_content(file, [progress.size for progress in shorter], lambda done: watch.hashing(file.name, done, file.size))
        outcome.content_hash = hashes[file.size]
        if self._producer is None or self._imports is None:
            self._read(file, file_format, outcome, watch, self._fresh_progress(file, outcome), None)
            outcome.status = Status.CHECKED
            return
        with ExitStack() as locks:
            ledger = locks.enter_context(Ledger(self._kind.folder, self._kind.ledger_name(outcome.content_hash)))
            before = None if self._kind.is_again else self._imports.find(self._kind.key(outcome.content_hash, outcome.content_hash))
            if before is not None:
                outcome.status, outcome.earlier = Status.SKIPPED, before
                said = f"imported on {before.finished_at:%Y-%m-%d %H:%M} UTC as '{before.file}', {before.acknowledged:,} records"
                said += f"; {before.rejected:,} rows were rejected then" if before.rejected else ""
                outcome.message = said + self._kind.advice
                ledger.remove()
                return
            begun = ledger.read()
            cut_off = next((progress for progress in shorter if hashes[progress.size] == progress.content_hash), None)
            progress = self._check_same(begun or _go_on_from(cut_off, file, outcome) or self._fresh_progress(file, outcome))
            outcome.message = self._remark_late(progress)
            self._read(file, file_format, outcome, watch, progress, ledger)
            if self._places.changed(file):
                raise BrokenFileError(
                    f"File '{file.address}' was written to while it was imported; what was read is sent, the file is not finished: "
                    "import it again once nothing writes to it."
                )
            outcome.status = Status.IMPORTED
            if self.on_imported is not None:
                self.on_imported(outcome)
            # All empty files have the same content: there is nothing to remember.
            self._finished += [self._finished_import(outcome, progress)] if outcome.rows else []
            self._ledgers += [ledger, *([Ledger(self._kind.folder, cut_off.content_hash)] if cut_off else [])]
            self._locks.push(locks.pop_all())
        if len(self._finished) >= COMMIT_FILES or time.monotonic() - self._committed_at > COMMIT_SECS:
            self.commit()

    def _read(
        self, file: StoredFile, file_format: Format, outcome: Outcome, watch: Watch, progress: Progress, ledger: Ledger | None
    ) -> None:
        """Read and send the file, from its first row: those that are acknowledged are counted, not sent."""
        done, written_at = Acknowledgements(progress.acknowledged_through), time.monotonic()
        rejected_path = self._kind.folder / f"{self._kind.ledger_name(outcome.content_hash)}.rejected.ndjson"
        with self._kind.open(file, file_format) as content, RejectedRows(rejected_path, outcome) as rejected:
            judge = self._kind.judge(file, content, progress.id_base, outcome)
            try:
                for batch in batches(content.rows):
                    for row, found in judge(batch):
                        self._send(row, found, outcome, rejected, done)
                    watch.reading(file.name, content.bytes_done(), len(batch))
                    if ledger is not None and time.monotonic() - written_at > LEDGER_SECS:
                        written_at = time.monotonic()
                        self._note(ledger, progress, done)
                    if self.on_batch is not None:
                        outcome.acknowledged = done.acknowledged
                        self.on_batch(outcome)
            finally:
                self._settle(ledger, progress, done)
                outcome.acknowledged = done.acknowledged

    def _settle(self, ledger: Ledger | None, progress: Progress, done: Acknowledgements) -> None:
        """Wait for what was sent, and note how far it came, also when not all of it was acknowledged."""
        if self._producer is not None and ledger is not None:
            try:
                self._producer.flush(FLUSH_SECS_MAX)
            finally:
                self._note(ledger, progress, done)

    def _send(
        self,
        row: Row,
        found: tuple[bytes, bytes] | RowError | LeftOut,
        outcome: Outcome,
        rejected: RejectedRows,
        done: Acknowledgements,
    ) -> None:
        outcome.rows += 1
        if isinstance(found, RowError):
            if isinstance(found, OpenEndError):
                done.stop_before(row.number)
            rejected.add(row, found)
            done.add(row.number)
        elif isinstance(found, LeftOut):
            outcome.left_out += 1
            done.add(row.number)
        elif row.number <= done.start:
            done.acknowledged += 1
        elif self._producer is not None:
            key, value = found
            self._producer.send(key, value, tag=(done, row.number))
            outcome.sent += 1

    def _note(self, ledger: Ledger, progress: Progress, done: Acknowledgements) -> None:
        ledger.write(replace(progress, acknowledged_through=done.through, updated_at=self._now().isoformat()))

    def _fresh_progress(self, file: StoredFile, outcome: Outcome) -> Progress:
        terms = self._kind.terms
        return Progress(
            content_hash=outcome.content_hash,
            id_base=self._kind.new_id_base(outcome.content_hash),
            file=file.address,
            size=file.size,
            mapping=terms.mapping,
            app_id=terms.app_id,
            identical_policy=terms.identical_policy,
            acknowledged_through=0,
            updated_at=self._now().isoformat(),
        )

    def _check_same(self, progress: Progress) -> Progress:
        """An import goes on as it began, or half of a file would have another mapping than the other half."""
        terms = self._kind.terms
        for name, before, now in (
            ("mapping", progress.mapping, terms.mapping),
            ("app", progress.app_id, terms.app_id),
            ("identical rows", progress.identical_policy, terms.identical_policy),
        ):
            if before != now and progress.acknowledged_through:
                raise UsageError(
                    f"File '{progress.file}' is imported up to row {progress.acknowledged_through} with the {name} {before}, and now it is "
                    f"{now}; go on as it began, or remove '{self._kind.folder / progress.content_hash}.json' to send all of it anew."
                )
        return progress

    def _remark_late(self, progress: Progress) -> str:
        """What to say of an import that goes on after the dedup window has passed."""
        paused = self._now() - dt.datetime.fromisoformat(progress.updated_at)
        if not progress.acknowledged_through or paused < dt.timedelta(hours=self._settings.dedup_window_hours):
            return ""
        return (
            f"goes on after {paused.days} days, longer than the dedup window: of the rows after {progress.acknowledged_through}, those that "
            "Kafka had when the import was killed, though it had not said so, land twice"
        )

    def _finished_import(self, outcome: Outcome, progress: Progress) -> FinishedImport:
        terms = self._kind.terms
        return FinishedImport(
            content_hash=self._kind.key(outcome.content_hash, progress.id_base),
            file=outcome.file,
            mapping=terms.mapping,
            app_id=terms.recorded_app_id,
            rows=outcome.rows,
            acknowledged=outcome.acknowledged,
            rejected=outcome.rejected,
            identical=outcome.identical,
            identical_policy=terms.identical_policy,
            finished_at=self._now(),
        )

    def commit(self) -> None:
        """Have the lake's table remember the files that are finished, and let go of their ledgers and locks."""
        if self._finished and self._imports is not None:
            self._imports.record(self._finished)
        for ledger in self._ledgers:
            ledger.remove()
        self._finished, self._ledgers = [], []
        self._locks.close()
        self._committed_at = time.monotonic()


def _go_on_from(cut_off: Progress | None, file: StoredFile, outcome: Outcome) -> Progress | None:
    """The whole of a file whose shorter copy was imported: the same ids, from the row where that one stopped."""
    if cut_off is None:
        return None
    return replace(cut_off, content_hash=outcome.content_hash, file=file.address, size=file.size)
