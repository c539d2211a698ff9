"""What import and export jobs have in common as Pinpoint's API has them: made, shown, listed page by page."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.context import admit, api_of, require_app
from pipeline.api.definitions import change_definitions, parse_object, read_definitions, read_page_size
from pipeline.api.errors import ApiError, bad_request, json_response, not_found
from pipeline.definitions.key import Scope
from pipeline.endpoints.files.addresses import split_s3
from pipeline.jobs.records import Job, JobKind, RivalJobError, create_job, find_job, list_jobs
from pipeline.jobs.urls import check_job_url
from pipeline.moments import format_moment
from schemas.errors import UsageError

ReadDefinition = Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]


class JobCalls:
    """The three calls of one kind of jobs, which `headwater jobs` runs: Create, Get and list. A job as it was just made is answered with `status`."""

    def __init__(self, kind: JobKind, read_definition: ReadDefinition, status: int) -> None:
        self._kind, self._read_definition, self._status = kind, read_definition, status

    async def create_one(self, request: Request) -> Response:
        """A job as it was just made. Raises ApiError: 400 for a definition that cannot be run, 409 while another job does the same."""
        app_id, body = await _admit(request)
        address, definition = self._read_definition(parse_object(body))
        try:
            check_job_url(api_of(request).settings, app_id, address)
            # A job is told from another by it, however it is written.
            address = "s3://" + "/".join(split_s3(address)).rstrip("/")
        except UsageError as error:
            raise bad_request(str(error)) from None

        def make(connection: Any) -> Job | RivalJobError:
            try:
                return create_job(connection, app_id, self._kind, address, definition)
            except RivalJobError as error:
                return error

        made = await change_definitions(request, make)
        if isinstance(made, RivalJobError):
            raise ApiError(409, "ConflictException", str(made))
        return json_response(describe_job(made), self._status)

    async def show_one(self, request: Request) -> Response:
        app_id, _ = await _admit(request)
        job_id = request.path_params["job_id"]
        job = await read_definitions(request, lambda connection: find_job(connection, app_id, self._kind, job_id))
        if job is None:
            raise not_found(f"{self._kind.capitalize()} job", job_id[:80], "the list of the app's jobs has those that there are.")
        return json_response(describe_job(job))

    async def show_all(self, request: Request) -> Response:
        """`page-size` jobs after `token`, the oldest first."""
        app_id, _ = await _admit(request)
        size, token = read_page_size(request), request.query_params.get("token")
        found = await read_definitions(request, lambda connection: list_jobs(connection, app_id, self._kind, token, size + 1))
        page = found[:size]
        more = {"NextToken": page[-1].job_id} if len(found) > len(page) else {}
        return json_response({"Item": [describe_job(job) for job in page], **more})


async def _admit(request: Request) -> tuple[str, bytes]:
    """The app, and the request's body."""
    app_id: str = request.path_params["app_id"]
    admitted = await admit(request, Scope.MANAGE, app_id)
    await require_app(request, app_id)
    return app_id, admitted.body


def describe_job(job: Job) -> dict[str, Any]:
    """ImportJobResponse or ExportJobResponse; TotalProcessed are rows that were taken, TotalFailures those that were not."""
    described: dict[str, Any] = {
        "ApplicationId": job.app_id,
        "CompletedPieces": job.completed_pieces,
        "CreationDate": format_moment(job.created_at),
        "Definition": dict(job.definition),
        "FailedPieces": job.failed_pieces,
        "Failures": list(job.failures),
        "Id": job.job_id,
        "JobStatus": str(job.status),
        "TotalFailures": job.total_failures,
        "TotalPieces": job.total_pieces,
        "TotalProcessed": job.total_processed,
        "Type": job.kind.upper(),
    }
    if job.completed_at is not None:
        described["CompletionDate"] = format_moment(job.completed_at)
    return described


def optional_text(body: Mapping[str, Any], name: str) -> str | None:
    """A member that is a text or not there. Raises ApiError (400)."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise bad_request(f"Field '{name}' is {repr(value)[:80]}; expected a text.")
    return value


def optional_flag(body: Mapping[str, Any], name: str) -> bool | None:
    """A member that is true, false or not there. Raises ApiError (400)."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad_request(f"Field '{name}' is {repr(value)[:80]}; expected true or false.")
    return value
