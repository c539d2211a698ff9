"""Import jobs as Pinpoint's API has them: CreateImportJob, GetImportJob, GetImportJobs."""

from typing import Any

from pipeline.api.definitions import text_member
from pipeline.api.errors import bad_request
from pipeline.api.jobs import JobCalls, optional_flag, optional_text
from pipeline.jobs.records import JobKind

FORMATS = ("CSV", "JSON")


def _read_definition(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The address, and the definition as it is shown. Raises ApiError (400)."""
    address, role = text_member(body, "S3Url"), text_member(body, "RoleArn")
    if body.get("Format") not in FORMATS:
        raise bad_request(f"Field 'Format' is {repr(body.get('Format'))[:80]}; expected one of {', '.join(FORMATS)}.")
    if optional_flag(body, "DefineSegment") or optional_text(body, "SegmentId") or optional_text(body, "SegmentName"):
        raise bad_request(
            "Field 'DefineSegment', 'SegmentId' or 'SegmentName' asks for a segment, and imports make none yet; expected neither."
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
    # Kept and not used, as RoleArn is: there is no role to assume.
    external_id = optional_text(body, "ExternalId")
    return address, definition | ({} if external_id is None else {"ExternalId": external_id})


calls = JobCalls(JobKind.IMPORT, _read_definition, 201)
