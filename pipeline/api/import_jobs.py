"""Import jobs as Pinpoint's API has them: CreateImportJob, GetImportJob, GetImportJobs."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.definitions import text_member
from pipeline.api.errors import bad_request
from pipeline.api.jobs import make_job, optional_flag, optional_text, show_job, show_jobs
from pipeline.jobs.records import JobKind

FORMATS = ("CSV", "JSON")


async def create_one(request: Request) -> Response:
    """CreateImportJob; `headwater jobs` runs it."""
    return await make_job(request, JobKind.IMPORT, _read_definition, 201)


async def show_one(request: Request) -> Response:
    """GetImportJob."""
    return await show_job(request, JobKind.IMPORT)


async def show_all(request: Request) -> Response:
    """GetImportJobs."""
    return await show_jobs(request, JobKind.IMPORT)


def _read_definition(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The address, and the definition as it is shown. Raises ApiError (400)."""
    address, role = text_member(dict(body), "S3Url"), text_member(dict(body), "RoleArn")
    if body.get("Format") not in FORMATS:
        raise bad_request(f"Field 'Format' is {repr(body.get('Format'))[:80]}; expected one of {', '.join(FORMATS)}.")
    if optional_flag(body, "DefineSegment") or optional_text(body, "SegmentId"):
        raise bad_request(
            "Field 'DefineSegment' or 'SegmentId' asks for a segment, and imports make none yet; expected it false, or absent."
        )
    if optional_flag(body, "RegisterEndpoints") is False:
        raise bad_request(
            "Field 'RegisterEndpoints' is false, and no segment is defined: the job would do nothing; expected true, or absent."
        )
    definition: dict[str, Any] = {
        "DefineSegment": False,
        "Format": body["Format"],
        "RegisterEndpoints": True,
        "RoleArn": role,
        "S3Url": address,
    }
    return address, definition | {name: value for name in ("ExternalId", "SegmentName") if (value := optional_text(body, name)) is not None}
