"""An export job: every endpoint of an app, into a folder of the job's own under the prefix that was asked for."""

import time

from pipeline.config import Settings
from pipeline.endpoints.files.export import Exported, FolderTakenError, OnPart, export_endpoints, find_export
from pipeline.jobs.lease import Lease
from pipeline.jobs.records import Job, JobStatus
from pipeline.jobs.tally import Tally
from pipeline.jobs.urls import check_job_url
from schemas.errors import UnavailableError

SAVE_SECS = 1.0


def run_export(settings: Settings, job: Job, lease: Lease, tally: Tally) -> None:
    """Write the export; one that was killed starts over in the same folder.

    Raises UsageError for an address that cannot be written, UnavailableError when the store does not answer.
    """
    check_job_url(settings, job.app_id, job.address)
    lease.save(status=JobStatus.INITIALIZING)
    target = f"{job.address.rstrip('/')}/{job.job_id}"
    saved_at = time.monotonic()
    tally.pieces.clear()

    def hear(exported: Exported) -> None:
        nonlocal saved_at
        lease.check()
        if time.monotonic() - saved_at > SAVE_SECS:
            saved_at = time.monotonic()
            lease.save(total_processed=exported.rows, completed_pieces=len(exported.files), total_pieces=len(exported.files) + 1)

    lease.save(status=JobStatus.PROCESSING)
    earlier = find_export(settings, target)
    # A runner may have been killed after its last file and before it had noted that.
    exported = earlier if earlier is not None and earlier.is_finished else _export(settings, job, target, lease, hear)
    for name in exported.files:
        tally.piece(f"{exported.address}/{name}").status = "completed"
    tally.piece(f"{exported.address}/{exported.files[0]}").processed = exported.rows
    tally.found = len(exported.files)
    lease.save(status=JobStatus.COMPLETING, **tally.columns())


def _export(settings: Settings, job: Job, target: str, lease: Lease, hear: OnPart) -> Exported:
    # Whoever was silent for too long may still be alive, and wake: before each step in the folder the database is asked whose the job is.
    try:
        return export_endpoints(settings, job.app_id, target, on_part=hear, confirm=lease.save)
    except FolderTakenError:
        # By whoever has the job now, or had it before: either this one has lost it, or the next attempt starts over.
        lease.save()
        raise UnavailableError(f"Folder '{target}' was written to by an earlier attempt of job '{job.job_id}'; it starts over.") from None
