"""The process that runs jobs: takes one at a time, runs it to its end, and leaves it to the next when it cannot."""

import datetime as dt
import json
import logging
import os
import socket
import threading
import uuid

from sqlalchemy import Engine

from pipeline.config import Settings
from pipeline.jobs.export_job import run_export
from pipeline.jobs.import_job import failed_whole, run_import
from pipeline.jobs.lease import Lease, LeaseLostError, ToldToLeaveError, take_job
from pipeline.jobs.records import Job, JobKind, JobStatus
from pipeline.jobs.tally import Tally
from pipeline.moments import Now, now_utc
from schemas.errors import HeadwaterError, UnavailableError, UsageError

log = logging.getLogger("headwater.jobs")
POLL_SECS = 1.0
BACKOFF_SECS_MAX = 30.0
# Waits of a job double up to the last of these: twenty attempts take about two hours.
JOB_BACKOFF_SECS_MAX = 600.0
ATTEMPTS_MAX = 20


class JobRunner:
    """Runs jobs until it is told to leave. Several may run at once, on one machine or on many."""

    def __init__(self, settings: Settings, engine: Engine, is_over: threading.Event, now: Now = now_utc) -> None:
        self._settings, self._engine, self._is_over, self._now = settings, engine, is_over, now
        self._backoff_secs = POLL_SECS
        self.owner = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"

    def run(self) -> None:
        """Until told to leave; what fails is said and tried again."""
        while not self._is_over.is_set():
            try:
                is_idle = not self.run_one()
            except HeadwaterError as error:
                log.warning("Waiting %.0f s: %s", self._backoff_secs, error)
                self._is_over.wait(self._backoff_secs)
                self._backoff_secs = min(2 * self._backoff_secs, BACKOFF_SECS_MAX)
                continue
            self._backoff_secs = POLL_SECS
            if is_idle:
                self._is_over.wait(POLL_SECS)

    def run_one(self) -> bool:
        """Take a job and run it as far as it goes; False when there was none.

        When a system is away the job is let go, and is taken again later, after others. Raises UnavailableError when the database is away.
        """
        job = take_job(self._engine, self.owner, self._settings.job_lease_secs, self._now)
        if job is None:
            return False
        log.info("Runs %s job %s of app %s: %s", job.kind, job.job_id, job.app_id, job.address)
        with Lease(self._engine, job, self.owner, self._settings.job_lease_secs, self._is_over, self._now) as lease:
            try:
                self._run(job, lease)
            except ToldToLeaveError as left:
                log.info("%s", left)
                lease.release(attempts=0)
            except LeaseLostError as lost:
                log.warning("%s", lost)
            except UnavailableError as error:
                secs = min(POLL_SECS * 2 ** (job.attempts - 1), JOB_BACKOFF_SECS_MAX)
                log.warning("Job %s is tried again in %.0f s: %s", job.job_id, secs, error)
                lease.release(next_at=self._now() + dt.timedelta(seconds=secs), failures_json=json.dumps([f"It waits: {error}"]))
        return True

    def _run(self, job: Job, lease: Lease) -> None:
        tally = Tally(job)
        try:
            _require_progress(job)
            if job.kind is JobKind.IMPORT:
                run_import(self._settings, job, lease, tally)
                is_failed = failed_whole(tally)
            else:
                run_export(self._settings, job, lease, tally)
                is_failed = False
        except (ToldToLeaveError, LeaseLostError, UnavailableError):
            raise
        except HeadwaterError as error:
            tally.failure, is_failed = str(error), True
        except Exception as error:
            # One that fails in a way that nobody foresaw is not taken again for ever.
            log.exception("Job %s failed", job.job_id)
            tally.failure, is_failed = f"It failed in a way that is no fault of its files: {type(error).__name__}: {error}", True
        said = tally.columns()
        if is_failed:
            lease.save(status=JobStatus.FAILING, **said)
        status = JobStatus.FAILED if is_failed else JobStatus.COMPLETED
        lease.save(status=status, completed_at=self._now(), **said)
        log.info("Job %s is %s: %d rows taken, %d not", job.job_id, status, said["total_processed"], said["total_failures"])


def _require_progress(job: Job) -> None:
    """A job that is in nobody's power, or that kills whoever runs it, ends: attempts are counted when they begin. Raises UsageError."""
    if job.attempts > ATTEMPTS_MAX:
        last = (
            f" The last thing said: {job.failures[0]}"
            if job.failures
            else " Whoever ran it ended without a word: see the logs of headwater jobs."
        )
        raise UsageError(f"It was begun {ATTEMPTS_MAX} times without coming further, and is given up; ask for it anew.{last}")
