"""Jobs as the definitions database has them: made, found, listed."""

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from pipeline.definitions.tables import jobs
from pipeline.definitions.versions import change_app
from schemas.errors import UsageError


class JobKind(StrEnum):
    IMPORT = "import"
    EXPORT = "export"


class JobStatus(StrEnum):
    """Pinpoint's own, in their order."""

    CREATED = "CREATED"
    PREPARING_FOR_INITIALIZATION = "PREPARING_FOR_INITIALIZATION"  # somebody runs it
    INITIALIZING = "INITIALIZING"  # its files are looked for
    PROCESSING = "PROCESSING"
    COMPLETING = "COMPLETING"  # every row is through
    COMPLETED = "COMPLETED"
    FAILING = "FAILING"
    FAILED = "FAILED"


ENDED = (JobStatus.COMPLETED, JobStatus.FAILED)


@dataclass(frozen=True)
class Job:
    """One job. Pieces are files; `pieces` says by address what became of each, and is empty in a list of jobs.

    `total_processed` rows were taken, `total_failures` were not; `attempts` were begun since it last came further.
    """

    job_id: str
    app_id: str
    kind: JobKind
    address: str
    definition: Mapping[str, Any]
    status: JobStatus
    created_at: dt.datetime
    completed_at: dt.datetime | None
    total_pieces: int
    completed_pieces: int
    failed_pieces: int
    total_processed: int
    total_failures: int
    failures: tuple[str, ...]
    pieces: Mapping[str, dict[str, Any]]
    report_address: str | None
    owner: str | None
    attempts: int

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED


class RivalJobError(UsageError):
    """The same is being done by another job, which is named."""


def create_job(
    connection: Connection, app_id: str, kind: JobKind, address: str, definition: Mapping[str, Any], *, at: dt.datetime | None = None
) -> Job:
    """A new job. Raises UsageError for an unknown app, RivalJobError while a job of the app does the same at the same address."""
    # Two that ask at once wait for each other: the app's row is locked.
    change_app(connection, app_id, at)
    rival = connection.execute(
        sa.select(jobs.c.job_id, jobs.c.status).where(
            jobs.c.app_id == app_id, jobs.c.kind == kind, jobs.c.address == address, jobs.c.status.not_in(ENDED)
        )
    ).first()
    if rival is not None:
        raise RivalJobError(
            f"Address '{address}' is at work in {kind} job '{rival.job_id}' of this app ({rival.status}); wait until that one has ended."
        )
    job_id = uuid.uuid4().hex
    counts = dict.fromkeys(("total_pieces", "completed_pieces", "failed_pieces", "total_processed", "total_failures", "attempts"), 0)
    texts = {"definition_json": json.dumps(dict(definition)), "failures_json": "[]", "pieces_json": "{}"}
    now = at or dt.datetime.now(dt.UTC)
    connection.execute(
        jobs.insert().values(
            job_id=job_id, app_id=app_id, kind=kind, address=address, status=JobStatus.CREATED, created_at=now, **counts, **texts
        )
    )
    found = find_job(connection, app_id, kind, job_id)
    assert found is not None
    return found


def find_job(connection: Connection, app_id: str, kind: JobKind, job_id: str) -> Job | None:
    found = connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id, jobs.c.app_id == app_id, jobs.c.kind == kind)).one_or_none()
    return read_job(found) if found is not None else None


def list_jobs(connection: Connection, app_id: str, kind: JobKind, after: str | None = None, limit: int | None = None) -> list[Job]:
    """Jobs of an app, the oldest first; `after` is the id of the last one before. Raises UsageError when there is no such job."""
    # What became of each of ten thousand files nobody asks for here.
    columns = [column for column in jobs.c if column is not jobs.c.pieces_json]
    page = sa.select(*columns).where(jobs.c.app_id == app_id, jobs.c.kind == kind).order_by(jobs.c.created_at, jobs.c.job_id).limit(limit)
    if after is not None:
        last = find_job(connection, app_id, kind, after)
        if last is None:
            raise UsageError(f"Token '{after[:80]}' is no {kind} job of this app; expected the NextToken of the page before.")
        is_later = jobs.c.created_at > last.created_at
        page = page.where(is_later | ((jobs.c.created_at == last.created_at) & (jobs.c.job_id > last.job_id)))
    return [read_job(row) for row in connection.execute(page)]


def read_job(row: Row[Any]) -> Job:
    """A job from its row."""
    found = dict(row._mapping)
    found["kind"], found["status"] = JobKind(found["kind"]), JobStatus(found["status"])
    found["definition"], found["pieces"] = json.loads(found.pop("definition_json")), json.loads(found.pop("pieces_json", "{}"))
    found["failures"] = tuple(json.loads(found.pop("failures_json")))
    del found["heartbeat_at"], found["next_at"]
    return Job(**found)
