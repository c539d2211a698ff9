"""The import itself: each file is hashed, looked up, read, sent, and remembered for ever once Kafka has acknowledged all of it."""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.config import Settings
from pipeline.imports.formats import Format, detect_format, is_known_name
from pipeline.imports.ledger import Acknowledgements, Ledger, Progress, unfinished
from pipeline.imports.mapping import Mapping
from pipeline.imports.outcome import Outcome, RejectedRows, Status
from pipeline.imports.places import Places, StoredFile, hash_content
from pipeline.imports.read import batches, open_content
from pipeline.imports.records import RecordBuilder
from pipeline.imports.rows import BrokenFileError, FileError, Row, RowError
from pipeline.imports.seen import SeenRows
from pipeline.imports.watch import Watch
from pipeline.producer import Producer
from pipeline.stores import build_store
from pipeline.topics import ensure_topics
from pipeline.topology import RAW_EVENTS, topic_name
from schemas.errors import UnavailableError, UsageError
from sinks.imports import FinishedImport, Imports

LEDGER_SECS = 0.25
COMMIT_SECS = 5.0
COMMIT_FILES = 100
FLUSH_SECS_MAX = 300

Now = Callable[[], dt.datetime]


@dataclass(frozen=True)
class ImportOptions:
    """How files are imported; the same for all files of a run."""

    mapping: Mapping | None = None
    app_id: str | None = None
    identical_rows: Literal["keep", "one"] = "keep"
    is_dry_run: bool = False
    shows_progress: bool = False


def now_utc() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def import_addresses(settings: Settings, addresses: Sequence[str], options: ImportOptions, now: Now = now_utc) -> list[Outcome]:
    """Import every file at the addresses (files, folders, s3:// addresses), in order; one outcome for each.

    A file that cannot be read does not stop the others. Started again after any kind of end, it goes on where Kafka had acknowledged.

    Raises UsageError for an address that is not there, UnavailableError when Kafka or S3 does not answer: what was sent is in the ledger.
    """
    places = Places(lambda: build_store(settings))
    files = [file for address in addresses for file in places.find_files(address)]
    if options.is_dry_run:
        run = _Run(settings, options, places, now, producer=None, imports=None)
    else:
        imports = Imports(build_store(settings))
        ensure_topics(settings)
        producer = Producer(settings, topic_name(settings, RAW_EVENTS), on_acknowledged=_acknowledged)
        run = _Run(settings, options, places, now, producer, imports)
    with Watch(sum(file.size for file in files), options.shows_progress) as watch, run:
        outcomes = []
        for file in files:
            outcomes.append(run.import_file(file, watch))
            watch.file_done(file.size)
    return outcomes


def _acknowledged(tag: Any, partition: int, offset: int) -> None:
    acknowledgements, number = tag
    acknowledgements.acknowledged += 1
    acknowledgements.add(number)


class _Run:
    """One run of import. Its finished files are committed to the lake's table in groups; until then their locks are held."""

    def __init__(
        self, settings: Settings, options: ImportOptions, places: Places, now: Now, producer: Producer | None, imports: Imports | None
    ) -> None:
        self._settings, self._options, self._places, self._now = settings, options, places, now
        self._producer, self._imports = producer, imports
        self._folder = settings.home / "imports"
        self._finished: list[FinishedImport] = []
        self._ledgers: list[Ledger] = []
        self._locks = ExitStack()
        self._committed_at = time.monotonic()

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._locks:
            if kind is None or not issubclass(kind, UnavailableError):
                self._commit()

    def import_file(self, file: StoredFile, watch: Watch) -> Outcome:
        outcome = Outcome(file.address)
        try:
            file_format = self._detect(file)
            if file_format is None:
                outcome.status, outcome.message = Status.IGNORED, "neither its name nor its content is a format that is read"
                return outcome
            self._import(file, file_format, outcome, watch)
        except BrokenFileError as error:
            outcome.status, outcome.message = Status.BROKEN, str(error)
        except FileError as error:
            outcome.status, outcome.message = Status.FAILED, str(error)
        return outcome

    def _detect(self, file: StoredFile) -> Format | None:
        """Format of a file; None for a stranger in a folder."""
        try:
            found = detect_format(file, self._options.mapping is not None)
        except FileError:
            if file.is_named or is_known_name(file.name):
                raise
            return None
        return None if found.kind == "csv" and not file.is_named and not is_known_name(file.name) else found

    def _import(self, file: StoredFile, file_format: Format, outcome: Outcome, watch: Watch) -> None:
        shorter = [progress for progress in unfinished(self._folder) if progress.size < file.size]
        hashes = hash_content(file, [progress.size for progress in shorter], lambda done: watch.hashing(file.name, done, file.size))
        outcome.content_hash = hashes[file.size]
        if self._producer is None or self._imports is None:
            self._read(file, file_format, outcome, watch, self._fresh_progress(file, outcome), None)
            outcome.status = Status.CHECKED
            return
        with ExitStack() as locks:
            ledger = locks.enter_context(Ledger(self._folder, outcome.content_hash))
            before = self._imports.find(outcome.content_hash)
            if before is not None:
                outcome.status = Status.SKIPPED
                outcome.message = f"imported on {before.finished_at:%Y-%m-%d %H:%M} UTC as '{before.file}', {before.acknowledged:,} records"
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
            # All empty files have the same content: there is nothing to remember.
            self._finished += [self._finished_import(outcome)] if outcome.rows else []
            self._ledgers += [ledger, *([Ledger(self._folder, cut_off.content_hash)] if cut_off else [])]
            self._locks.push(locks.pop_all())
        if len(self._finished) >= COMMIT_FILES or time.monotonic() - self._committed_at > COMMIT_SECS:
            self._commit()

    def _read(
        self, file: StoredFile, file_format: Format, outcome: Outcome, watch: Watch, progress: Progress, ledger: Ledger | None
    ) -> None:
        """Read and send the file, from its first row: those that are acknowledged are counted, not sent."""
        done, seen, written_at = Acknowledgements(progress.acknowledged_through), SeenRows(), time.monotonic()
        rejected_path = self._folder / f"{outcome.content_hash}.rejected.ndjson"
        with open_content(file, file_format, self._options.mapping) as content, RejectedRows(rejected_path, outcome) as rejected:
            builder = RecordBuilder(progress.id_base, file.name, self._options.app_id, self._options.mapping, content.shape)
            try:
                for batch in batches(content.rows):
                    are_identical = seen.mark([row.content for row in batch])
                    for row, is_identical in zip(batch, are_identical, strict=True):
                        self._send(row, is_identical, builder, outcome, rejected, done)
                    watch.reading(file.name, content.bytes_done(), len(batch))
                    if ledger is not None and time.monotonic() - written_at > LEDGER_SECS:
                        written_at = time.monotonic()
                        self._note(ledger, progress, done)
            finally:
                outcome.unmapped = dict(builder.unmapped)
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
        self, row: Row, is_identical: bool, builder: RecordBuilder, outcome: Outcome, rejected: RejectedRows, done: Acknowledgements
    ) -> None:
        outcome.rows += 1
        outcome.identical += is_identical
        try:
            sealed = builder.build(row)
        except RowError as error:
            rejected.add(row, error)
            done.add(row.number)
            return
        outcome.see_time(sealed.event_timestamp)
        if is_identical and self._options.identical_rows == "one":
            outcome.left_out += 1
            done.add(row.number)
        elif row.number <= done.start:
            done.acknowledged += 1
        elif self._producer is not None:
            self._producer.send(sealed.key, sealed.value, tag=(done, row.number))
            outcome.sent += 1

    def _note(self, ledger: Ledger, progress: Progress, done: Acknowledgements) -> None:
        ledger.write(replace(progress, acknowledged_through=done.through, updated_at=self._now().isoformat()))

    def _fresh_progress(self, file: StoredFile, outcome: Outcome) -> Progress:
        mapping = self._options.mapping
        return Progress(
            content_hash=outcome.content_hash,
            id_base=outcome.content_hash,
            file=file.address,
            size=file.size,
            mapping=mapping.text if mapping else None,
            app_id=self._options.app_id,
            identical_policy=self._options.identical_rows,
            acknowledged_through=0,
            updated_at=self._now().isoformat(),
        )

    def _check_same(self, progress: Progress) -> Progress:
        """An import goes on as it began, or half of a file would have another mapping than the other half."""
        mapping = self._options.mapping
        for name, before, now in (
            ("mapping", progress.mapping, mapping.text if mapping else None),
            ("app", progress.app_id, self._options.app_id),
            ("identical rows", progress.identical_policy, self._options.identical_rows),
        ):
            if before != now and progress.acknowledged_through:
                raise UsageError(
                    f"File '{progress.file}' is imported up to row {progress.acknowledged_through} with the {name} {before}, and now it is "
                    f"{now}; go on as it began, or remove '{self._folder / progress.content_hash}.json' to send all of it anew."
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

    def _finished_import(self, outcome: Outcome) -> FinishedImport:
        mapping = self._options.mapping
        mapped_app = mapping.fields.get("app_id") if mapping else None
        return FinishedImport(
            content_hash=outcome.content_hash,
            file=outcome.file,
            mapping=mapping.text if mapping else None,
            app_id=self._options.app_id or (mapped_app.constant if mapped_app else None),
            rows=outcome.rows,
            acknowledged=outcome.acknowledged,
            rejected=outcome.rejected,
            identical=outcome.identical,
            identical_policy=self._options.identical_rows,
            finished_at=self._now(),
        )

    def _commit(self) -> None:
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
