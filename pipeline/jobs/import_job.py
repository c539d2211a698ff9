"""An import job: files of endpoints at an s3:// address, one after the other, each once for ever."""

import time
from pathlib import Path

from pipeline.config import Settings
from pipeline.endpoints.files.kind import EndpointFiles
from pipeline.imports.outcome import Outcome, Status
from pipeline.imports.places import Places, StoredFile
from pipeline.imports.run import ImportRun, open_run
from pipeline.imports.watch import Watch
from pipeline.jobs.lease import Lease
from pipeline.jobs.records import Job, JobStatus
from pipeline.jobs.tally import Piece, Tally
from pipeline.jobs.urls import check_job_url
from pipeline.stores import build_store

SAVE_SECS = 1.0
BUSY_SECS = 1.0
PIECES_MAX = 10_000


def run_import(settings: Settings, job: Job, lease: Lease, tally: Tally) -> None:
    """Import what is not imported yet of the job's files. Rows that are rejected do not fail it; see `Tally` for what it says of them.

    Raises UsageError when there are no files, UnavailableError when Kafka or the store does not answer.
    """
    check_job_url(settings, job.address)
    lease.save(status=JobStatus.INITIALIZING)
    places = Places(lambda: build_store(settings))
    files = places.find_files(job.address)
    tally.found = len(files)
    wanted = "csv" if job.definition["Format"] == "CSV" else "json"
    kind = EndpointFiles(settings.home, job.app_id, settings.message_bytes_max, wanted)
    lease.save(status=JobStatus.PROCESSING, **tally.columns())
    run = open_run(settings, kind, places)
    with Watch(0, is_shown=False) as watch, run:
        for number, file in enumerate(files):
            if tally.piece(file.address).status == "started":
                _ImportedPiece(settings, job, lease, tally, file, number).run(run, watch)
    lease.save(status=JobStatus.COMPLETING, **tally.columns())


class _ImportedPiece:
    """One file of the job on its way."""

    def __init__(self, settings: Settings, job: Job, lease: Lease, tally: Tally, file: StoredFile, number: int) -> None:
        self._settings, self._job, self._lease, self._tally, self._file, self._number = settings, job, lease, tally, file, number
        self._piece, self._saved_at = tally.piece(file.address), time.monotonic()
        # What another run of this job began may be finished already, though the job does not know it.
        self._was_begun = file.address in job.pieces

    def run(self, run: ImportRun, watch: Watch) -> None:
        self._lease.save(**self._tally.columns())
        run.on_batch = self._hear
        outcome = run.import_file(self._file, watch)
        while outcome.is_busy:
            # Another process imports the same content, perhaps the one that this job was taken from: what it leaves, this one goes on with.
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

    def _count(self, outcome: Outcome) -> None:
        self._piece.processed, self._piece.failures = outcome.acknowledged, outcome.rejected
        self._piece.said = list(outcome.first_rejected)

    def _conclude(self, outcome: Outcome) -> None:
        piece = self._piece
        self._count(outcome)
        if outcome.rejected_file is not None:
            self._keep_report(Path(outcome.rejected_file))
        if outcome.status is Status.IMPORTED:
            piece.status = "completed"
        elif outcome.status is Status.IGNORED:
            piece.status = "passed_over"
            piece.said.append(f"passed over: it is not {self._job.definition['Format']}")
        elif outcome.status is Status.SKIPPED and self._is_own(outcome):
            assert outcome.earlier is not None
            piece.status, piece.processed, piece.failures = "completed", outcome.earlier.acknowledged, outcome.earlier.rejected
        else:
            piece.status = "failed"
            piece.said.insert(0, outcome.message)

    def _is_own(self, outcome: Outcome) -> bool:
        """Whether the import that the file is skipped for is one of this job, which was killed before it had noted that."""
        earlier = outcome.earlier
        return (
            self._was_begun and earlier is not None and earlier.file == self._file.address and earlier.finished_at >= self._job.created_at
        )

    def _keep_report(self, path: Path) -> None:
        store, prefix = build_store(self._settings), f"jobs/{self._job.job_id}/"
        with path.open("rb") as report:
            store.put_file(f"{prefix}rejected-{self._number:05}.ndjson", report)
        self._tally.report_address = store.uri(prefix)


def failed_whole(tally: Tally) -> bool:
    """Whether no file was imported."""
    return not any(piece.status == "completed" for piece in tally.pieces.values())


__all__ = ["Piece", "failed_whole", "run_import"]
