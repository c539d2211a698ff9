"""Who runs a job: a lease that is kept by heartbeats, so that one process at a time runs it and another goes on when that one is gone."""

import datetime as dt
import logging
import threading
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from pipeline.definitions.database import changing
from pipeline.definitions.tables import jobs
from pipeline.jobs.records import ENDED, Job, JobKind, JobStatus, read_job
from pipeline.moments import Now, now_utc
from schemas.errors import HeadwaterError

log = logging.getLogger("headwater.jobs")


class LeaseLostError(HeadwaterError):
    """Another process runs the job now, or it is gone: whoever lost it leaves it alone."""


class ToldToLeaveError(HeadwaterError):
    """The process is to end: the job is left as it is, for the next one that asks."""


def take_job(engine: Engine, owner: str, lease_secs: float, now: Now = now_utc) -> Job | None:
    """The oldest job that nobody runs and that is due, taken for `owner`; None when there is none.

    Of two that ask at once one gets it: the second finds an owner whose heartbeat is young.
    """
    with changing(engine) as connection:
        moment = now()
        is_free = _is_free(moment, lease_secs)
        free = sa.select(jobs.c.job_id, jobs.c.status).where(is_free).order_by(jobs.c.created_at, jobs.c.job_id)
        for job_id, status in connection.execute(free.limit(10)).all():
            began = JobStatus.PREPARING_FOR_INITIALIZATION if status == JobStatus.CREATED else status
            taken = connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, is_free)
                .values(owner=owner, heartbeat_at=moment, status=began, attempts=jobs.c.attempts + 1)
            )
            if taken.rowcount:
                return read_job(connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id)).one())
    return None


def _is_free(moment: dt.datetime, lease_secs: float) -> sa.ColumnElement[bool]:
    is_left = jobs.c.owner.is_(None) | (jobs.c.heartbeat_at < moment - dt.timedelta(seconds=lease_secs))
    is_due = jobs.c.next_at.is_(None) | (jobs.c.next_at <= moment)
    return jobs.c.status.not_in(ENDED) & is_left & is_due


class Lease:
    """The hold of one process on one job, as a context manager: within it a thread sends heartbeats.

    `check` is to be called often: it raises once the job is another's, or the process is told to leave.
    """

    def __init__(self, engine: Engine, job: Job, owner: str, lease_secs: float, is_over: threading.Event, now: Now = now_utc) -> None:
        self._engine, self._job_id, self._owner, self._secs, self._now = engine, job.job_id, owner, lease_secs, now
        self._job = job
        self._is_over, self._is_lost, self._is_left = is_over, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease of {job.job_id}", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_left.set()
        self._thread.join()

    def check(self) -> None:
        """Raises LeaseLostError or ToldToLeaveError."""
        if self._is_lost.is_set():
            raise LeaseLostError(f"Job '{self._job_id}' is run by another process now, or was deleted.")
        if self._is_over.is_set():
            raise ToldToLeaveError(f"Job '{self._job_id}' is left: this process is to end.")

    def save(self, **values: Any) -> None:
        """Write columns of the job, and a heartbeat with them. Raises LeaseLostError when it is not ours any more."""
        if self._is_further(values):
            values = {"attempts": 0, **values}
        with changing(self._engine) as connection:
            kept = connection.execute(
                jobs.update()
                .where(jobs.c.job_id == self._job_id, jobs.c.owner == self._owner)
                .values(**({"heartbeat_at": self._now()} | values))
            )
        if not kept.rowcount:
            self._is_lost.set()
            raise LeaseLostError(f"Job '{self._job_id}' is run by another process now, or was deleted.")

    def release(self, **values: Any) -> None:
        """Let the job go as it is, for the next one that asks; one that is lost is gone already."""
        try:
            self.save(**({"owner": None} | values))
        except LeaseLostError as lost:
            log.warning("%s", lost)

    def _is_further(self, values: dict[str, Any]) -> bool:
        """Whether an import did more than those before it; an export starts over each time."""
        return self._job.kind is JobKind.IMPORT and (
            values.get("total_processed", 0) > self._job.total_processed or values.get("completed_pieces", 0) > self._job.completed_pieces
        )

    def wait(self, secs: float) -> None:
        """Wait, but not when told to leave."""
        self._is_over.wait(secs)
        self.check()

    def _beat(self) -> None:
        while not self._is_left.wait(self._secs / 3):
            try:
                self.save()
            except LeaseLostError:
                return
            except HeadwaterError as error:
                log.warning("No heartbeat for job %s: %s", self._job_id, error)
