"""An import job: files of endpoints at an s3:// address, one after the other, each once in this job."""

import shutil
import time
from pathlib import Path

from pipeline.config import Settings
from pipeline.imports.outcome import Outcome, Status
from pipeline.imports.places import Places, StoredFile
from pipeline.imports.run import ImportRun, open_run
from pipeline.imports.watch import Watch
from pipeline.jobs.job_files import JobFiles
from pipeline.jobs.lease import Lease
from pipeline.jobs.records import Job, JobStatus
from pipeline.jobs.tally import Tally
from pipeline.jobs.urls import check_job_url
from pipeline.stores import build_store
from schemas.errors import UsageError

SAVE_SECS = 1.0
BUSY_SECS = 1.0
PIECES_MAX = 10_000


def run_import(settings: Settings, job: Job, lease: Lease, tally: Tally) -> None:
    """Import what this job has not imported yet of its files. Rows that are rejected do not fail it; see `Tally` for what it says of them.

    Raises UsageError when there are no files or too many, UnavailableError when Kafka or the store does not answer.
    """
    check_job_url(settings, job.app_id, job.address)
    lease.save(status=JobStatus.INITIALIZING)
    places = Places(lambda: build_store(settings))
    files = _find_files(settings, job, places)
    tally.found = len(files)
    kind = JobFiles(settings, job)
    lease.save(status=JobStatus.PROCESSING, **tally.columns())
    run = open_run(settings, kind, places)
    with Watch(0, is_shown=False) as watch, run:
        for number, file in enumerate(files):
            if tally.piece(file.address).status == "started":
                _ImportedPiece(settings, job, lease, tally, file, number).run(run, watch)
    lease.save(status=JobStatus.COMPLETING, **tally.columns())
    # Reports stand in the store, and what was imported in the lake's table.
    shutil.rmtree(kind.folder, ignore_errors=True)


def _find_files(settings: Settings, job: Job, places: Places) -> list[StoredFile]:
    files = places.find_files(job.address)
    if len(files) > PIECES_MAX:
        raise UsageError(
            f"Address '{job.address}' holds {len(files):,} files; expected at most {PIECES_MAX:,} in a job: make a job of each of its folders."
        )
    for file in files:
        # The log of a Delta table may name files that lie elsewhere.
        check_job_url(settings, job.app_id, file.address)
    return files


class _ImportedPiece:
    """One file of the job on its way."""

    def __init__(self, settings: Settings, job: Job, lease: Lease, tally: Tally, file: StoredFile, number: int) -> None:
        self._settings, self._job, self._lease, self._tally, self._file, self._number = settings, job, lease, tally, file, number
        self._piece, self._saved_at = tally.piece(file.address), time.monotonic()

    def run(self, run: ImportRun, watch: Watch) -> None:
        self._lease.save(**self._tally.columns())
        run.on_batch, run.on_imported = self._hear, self._keep
        outcome = run.import_file(self._file, watch)
        while outcome.is_busy:
            # Another process runs this job, perhaps the one that it was taken from: what it leaves, this one goes on with.
            self._lease.wait(BUSY_SECS)
            outcome = run.import_file(self._file, watch)
        # The lake's table knows the file before the job says that it is done.
        run.commit()
        self._conclude(outcome)
        self._lease.save(**self._tally.columns())

    def _hear(self, outcome: Outcome) -> None:
        self._lease.check()
        if time.monotonic() - self._saved_at > SAVE_SECS:
            self._saved_at = time.monotonic()
            self._count(outcome)
            self._lease.save(**self._tally.columns())

    def _keep(self, outcome: Outcome) -> None:
        """What was said of the rows, before the table knows the file: from then on nobody reads it again."""
        self._count(outcome)
        if outcome.rejected_file is not None:
            self._keep_report(Path(outcome.rejected_file))
        self._lease.save(**self._tally.columns())

    def _count(self, outcome: Outcome) -> None:
        self._piece.processed, self._piece.failures = outcome.acknowledged, outcome.rejected
        self._tally.say(self._piece, outcome.first_rejected)

    def _conclude(self, outcome: Outcome) -> None:
        piece = self._piece
        if outcome.status is Status.SKIPPED:
            self._conclude_skipped(outcome)
            return
        if outcome.status is Status.IMPORTED:
            piece.status = "completed"
            return
        self._keep(outcome)
        if outcome.status is Status.IGNORED:
            piece.status = "passed_over"
            self._tally.say(piece, [f"passed over: it is not {self._job.definition['Format']}"])
        else:
            piece.status = "failed"
            self._tally.say(piece, [outcome.message, *outcome.first_rejected])

    def _conclude_skipped(self, outcome: Outcome) -> None:
        """This job imported the content already: a runner was killed before it had noted that, or another of its files is the same."""
        earlier, piece = outcome.earlier, self._piece
        assert earlier is not None
        piece.status, piece.processed, piece.failures = "completed", earlier.acknowledged, earlier.rejected
        if earlier.file != self._file.address:
            self._tally.say(piece, [f"its content is that of '{earlier.file}', which this job has imported: it counts as done"])

    def _keep_report(self, path: Path) -> None:
        store, prefix = build_store(self._settings), f"jobs/{self._job.job_id}/"
        with path.open("rb") as report:
            store.put_file(f"{prefix}rejected-{self._number:05}.ndjson", report)
        self._tally.report_address = store.uri(prefix)


def failed_whole(tally: Tally) -> bool:
    """Whether no file was imported."""
    return not any(piece.status == "completed" for piece in tally.pieces.values())
