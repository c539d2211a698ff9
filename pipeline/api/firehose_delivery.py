"""Firehose's HTTP endpoint destination: `POST /v1/firehose/{stream}`, so that an AWS account drains into Headwater.

The protocol is AWS's ("HTTP endpoint delivery request and response specifications"): the access key is a write key of ours; 200 alone
counts as delivered, 413 as refused for good, and everything else is delivered again under the same request id, from which records that
have no id of their own get theirs: so a second delivery lands nothing twice.
"""

import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from agents.parsing.fit import MS_MAX, MS_MIN
from pipeline.api.context import admit, api_of, read_sender
from pipeline.api.errors import ApiError, json_response, not_found
from pipeline.api.observed import REFUSAL
from pipeline.api.record_streams import decode_base64, send_records
from pipeline.auth.errors import DeniedError
from pipeline.collect.outgoing import TooMuchError
from pipeline.definitions.key import Scope

RECORDS_MAX = 10_000


async def take_delivery(request: Request) -> Response:
    """One delivery of a stream that setting HEADWATER_API_STREAMS declares."""
    request_id = request.headers.get("x-amz-firehose-request-id", "")
    try:
        await _take(request, request_id)
    except ApiError as error:
        request.scope[REFUSAL] = error.kind
        return _answer(request_id, error.status, error.message)
    except TooMuchError as error:
        return _answer(request_id, 413, str(error))
    except DeniedError as error:
        request.scope[REFUSAL] = error.kind
        return _answer(request_id, 403, error.message)
    return _answer(request_id, 200, None)


async def _take(request: Request, request_id: str) -> None:
    name: str = request.path_params["stream"]
    stream = api_of(request).streams.get(name)
    admitted = await admit(request, Scope.INGEST, stream.app_id if stream is not None else None, any_app=stream is None)
    if stream is None:
        raise not_found("Stream", name[:128], f"setting HEADWATER_API_STREAMS declares it, as '{name[:64]}=app'.")
    body = _parse(admitted.body, request_id)
    sender = read_sender(request, None, source=f"firehose:{stream.name}")
    # Free JSON that tells no time has that of its delivery, which a second delivery repeats.
    timestamp = body.get("timestamp")
    is_time = isinstance(timestamp, int) and not isinstance(timestamp, bool) and MS_MIN <= timestamp <= MS_MAX
    records = [(_data(record, place), f"{request_id}/{place}") for place, record in enumerate(body["records"])]
    stored = await send_records(request, "firehose_delivery", admitted, stream, sender, records, timestamp if is_time else None)
    if not all(stored):
        raise ApiError(500, "InternalFailure", f"{stored.count(False)} of {len(stored)} records are not stored; deliver all of it again.")


def _parse(body: bytes, request_id: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "SerializationException", f"The body is not JSON: {str(error)[:200]}.") from None
    records = found.get("records") if isinstance(found, dict) else None
    if not isinstance(records, list) or len(records) > RECORDS_MAX:
        raise ApiError(400, "ValidationException", f"Field 'records' is no list of at most {RECORDS_MAX} records.")
    if not request_id or found.get("requestId") != request_id:
        raise ApiError(
            400, "ValidationException", "Field 'requestId' is not that of header 'x-amz-firehose-request-id'; expected the same."
        )
    return dict(found)


def _data(record: Any, place: int) -> bytes:
    found = decode_base64(record.get("data") if isinstance(record, dict) else None)
    if found is None:
        raise ApiError(400, "ValidationException", f"Field 'data' of record {place} is no base64.")
    return found


def _answer(request_id: str, status: int, error: str | None) -> Response:
    said = {"requestId": request_id, "timestamp": time.time_ns() // 1_000_000}
    return json_response(said if error is None else said | {"errorMessage": error}, status)
