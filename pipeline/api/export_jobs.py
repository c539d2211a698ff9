"""Export jobs as Pinpoint's API has them: CreateExportJob, GetExportJob, GetExportJobs."""

from typing import Any

from pipeline.api.definitions import text_member
from pipeline.api.errors import bad_request
from pipeline.api.jobs import JobCalls, optional_text
from pipeline.jobs.records import JobKind


def _read_definition(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The address, and the definition as it is shown. Raises ApiError (400)."""
    address, role = text_member(body, "S3UrlPrefix"), text_member(body, "RoleArn")
    if optional_text(body, "SegmentId") or body.get("SegmentVersion") is not None:
        raise bad_request(
            "Field 'SegmentId' or 'SegmentVersion' asks for the endpoints of a segment, and there are none yet; expected neither."
        )
    return address, {"RoleArn": role, "S3UrlPrefix": address}


calls = JobCalls(JobKind.EXPORT, _read_definition, 202)
