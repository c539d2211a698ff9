"""The files of one import job: each is imported once by this job, whatever another job or the command line did with the same content."""

from pathlib import Path

from pipeline.config import Settings
from pipeline.endpoints.files.kind import EndpointFiles
from pipeline.event_stream import is_redacting
from pipeline.jobs.records import Job


class JobFiles(EndpointFiles):
    """Ids of updates are made of content and job: a job that goes on repeats them, another job has others. Rows without Id keep their endpoints."""

    def __init__(self, settings: Settings, job: Job) -> None:
        wanted = "csv" if job.definition["Format"] == "CSV" else "json"
        super().__init__(settings.home, job.app_id, settings.message_bytes_max, wanted, shows_values=not is_redacting(settings))
        self._job_id = job.job_id
        # Ledgers and reports of its own, too.
        self.folder: Path = settings.home / "imports" / "jobs" / job.job_id

    def key(self, content_hash: str, id_base: str) -> str:
        return f"{content_hash}.{self._job_id}/endpoints/{self._app_id}"

    def new_id_base(self, content_hash: str) -> str:
        return f"{content_hash}.{self._job_id}"
