"""Errors as AWS's REST APIs give them: {"Message", "RequestID"}, and the error's name in a header."""

import json
from collections.abc import Mapping

import msgspec
from starlette.responses import Response


class ApiError(Exception):
    """A request that is refused. `kind` is AWS's name of the error; `message` names field, value and what was expected."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.kind, self.message, self.headers = status, kind, message, dict(headers or {})
        super().__init__(message)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequestException", message)


def not_found(what: str, name: str, way_out: str, headers: Mapping[str, str] | None = None) -> ApiError:
    return ApiError(404, "NotFoundException", f"{what} '{name}' is not there; {way_out}", headers)


def too_large(message: str) -> ApiError:
    # The rest of the body is not read: the connection ends with the answer.
    return ApiError(413, "PayloadTooLargeException", message, {"connection": "close"})


def render_error(error: ApiError, request_id: str) -> Response:
    """The answer of the REST API."""
    headers = {"x-amzn-errortype": error.kind, "x-amzn-requestid": request_id} | error.headers
    return json_response({"Message": error.message, "RequestID": request_id}, error.status, headers)


def json_response(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    try:
        body = msgspec.json.encode(document)
    except UnicodeEncodeError:
        # Halves of surrogate pairs, which a sender may have in its ids.
        body = json.dumps(document).encode()
    return Response(body, status, headers, media_type="application/json")
