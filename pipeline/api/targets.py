"""`POST /`: AWS's JSON 1.1 and CBOR protocols, where header X-Amz-Target says which operation is meant."""

import json
import uuid
from typing import Any

import cbor2
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api import identities, record_streams
from pipeline.api.context import Admitted, admit, api_of
from pipeline.api.errors import ApiError
from pipeline.api.observed import REFUSAL
from pipeline.auth.errors import DeniedError
from pipeline.collect.outgoing import TooMuchError
from pipeline.definitions.key import Scope

CBOR = "application/x-amz-cbor-1.1"
JSON = "application/x-amz-json-1.1"
# What Cognito's two operations hold is a pool or an identity, and the tokens of who is signed in.
IDENTITY_BYTES_MAX = 16_384


async def call_target(request: Request) -> Response:
    """Runs the operation of X-Amz-Target; errors have the protocol's own shape: {"__type", "message"}."""
    is_cbor = request.headers.get("content-type", "").startswith(CBOR)
    try:
        return _answer(await _run(request, is_cbor), 200, is_cbor, {})
    except DeniedError as error:
        # AWS answers 400 here; its SDKs read the name.
        request.scope[REFUSAL] = error.kind
        return _answer({"__type": error.kind, "message": error.message}, 400, is_cbor, {"x-amzn-errortype": error.kind})
    except TooMuchError as error:
        request.scope[REFUSAL] = "ValidationException"
        return _answer({"__type": "ValidationException", "message": str(error)}, 413, is_cbor, {"x-amzn-errortype": "ValidationException"})
    except ApiError as error:
        request.scope[REFUSAL] = error.kind
        headers = {"x-amzn-errortype": error.kind} | error.headers
        return _answer({"__type": error.kind, "message": error.message}, error.status, is_cbor, headers)


async def _run(request: Request, is_cbor: bool) -> dict[str, Any]:
    target = request.headers.get("x-amz-target", "")
    if target in identities.OPERATIONS:
        identities.require_guest_rate(request)
        body = await api_of(request).bodies.read(request, IDENTITY_BYTES_MAX)
        return await identities.OPERATIONS[target](request, _parse(body, is_cbor))
    operation = record_streams.OPERATIONS.get(target)
    if operation is None:
        known = ", ".join([*record_streams.OPERATIONS, *identities.OPERATIONS])
        raise ApiError(400, "UnknownOperationException", f"Header 'x-amz-target' is '{target[:80]}'; expected one of {known}.")
    admitted: Admitted = await admit(request, Scope.INGEST, services=frozenset({operation.service}), any_app=True)
    parsed = _parse(admitted.body, is_cbor)
    stream = record_streams.find_stream(request, operation.stream_member, parsed)
    found: dict[str, Any] = await operation.run(request, admitted, stream, parsed)
    return found


def _parse(body: bytes, is_cbor: bool) -> dict[str, Any]:
    try:
        found = cbor2.loads(body, max_depth=16, semantic_decoders=_UNSHARED) if is_cbor else json.loads(body)
    except (ValueError, RecursionError, cbor2.CBORError, MemoryError, OverflowError) as error:
        raise ApiError(400, "SerializationException", f"The body is not {'CBOR' if is_cbor else 'JSON'}: {str(error)[:200]}.") from None
    if not isinstance(found, dict):
        raise ApiError(400, "SerializationException", "The body is no object; expected one with the operation's members.")
    return found


def _refuse_shared(*_: Any) -> Any:
    raise ValueError("it has tags of shared values, or of numbers beyond 64 bits; expected none")


# Tags of shared values (28, 29) and of texts that are referred to (25, 256): with them a few bytes could stand for gigabytes; and of
# whole numbers without an end (2, 3).
_UNSHARED = dict.fromkeys((2, 3, 25, 28, 29, 256), _refuse_shared)


def _answer(document: dict[str, Any], status: int, is_cbor: bool, headers: dict[str, str]) -> Response:
    body = cbor2.dumps(document) if is_cbor else json.dumps(document).encode()
    return Response(body, status, headers | {"x-amzn-requestid": str(uuid.uuid4())}, media_type=CBOR if is_cbor else JSON)
