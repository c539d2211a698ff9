"""Around every request: its id, its line in the log, its metrics, and the shape of what goes wrong. No body and no secret is logged."""

import logging
import time
import uuid
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.api.errors import ApiError, render_error
from pipeline.api.metrics import ApiMetrics
from pipeline.auth.errors import DeniedError
from pipeline.collect.outgoing import TooMuchError

log = logging.getLogger("headwater.access")

# Where a request's id stands in its scope, who called (a key's id, never a secret), and why it was refused.
REQUEST_ID, CALLER, REFUSAL = "headwater.request_id", "headwater.caller", "headwater.refusal"

# Errors of AWS's that are the caller's form and not its rights.
_MALFORMED = frozenset({"IncompleteSignatureException"})


class Observed:
    """ASGI middleware: a request's id, its metrics, its line in the log; at its end `release` lets go of what it held."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics, release: Callable[[Scope], None]) -> None:
        self._app, self._metrics, self._release = app, metrics, release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        request_id = scope[REQUEST_ID] = str(uuid.uuid4())

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not any(name == b"x-amzn-requestid" for name, _ in message["headers"]):
                    message["headers"] = [*message["headers"], (b"x-amzn-requestid", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        finally:
            self._release(scope)
            secs = time.perf_counter() - began
            self._metrics.requests.labels(str(status)).inc()
            self._metrics.seconds.observe(secs)
            if log.isEnabledFor(logging.INFO):
                # The path alone: a presigned request has its signature in the query.
                path = scope["path"].encode("unicode_escape").decode()[:200]
                client = scope["client"][0] if scope["client"] else "-"
                who, why = scope.get(CALLER, "-"), scope.get(REFUSAL, "")
                log.info("%s %s %s %s %d %.1f ms %s %s", client, who, scope["method"], path, status, secs * 1000, request_id, why)


class Explained:
    """ASGI middleware: whatever a resource raises becomes an answer. A defect of ours is logged with its trace and tells nobody more."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:
            if is_begun or scope["type"] != "http":
                raise
            explained = explain(error, scope)
            scope[REFUSAL] = explained.kind
            await render_error(explained, scope[REQUEST_ID])(scope, receive, send)


def explain(error: Exception, scope: Scope) -> ApiError:
    """The answer that an error stands for."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TooMuchError):
        return ApiError(413, "PayloadTooLargeException", str(error))
    if isinstance(error, DeniedError):
        return ApiError(400 if error.kind in _MALFORMED else 403, error.kind, error.message)
    log.error("Request %s %s failed.", scope[REQUEST_ID], scope["method"], exc_info=error)
    return ApiError(500, "InternalServerErrorException", "Something went wrong here; the log has it under this request's id.")


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses: an unknown path (404), a known one with another method (405)."""
    assert isinstance(error, HTTPException)
    kind = "MethodNotAllowedException" if error.status_code == 405 else "NotFoundException"
    message = f"{request.method} {request.url.path[:200]} is nothing that is served here; /docs has what is."
    return render_error(ApiError(error.status_code, kind, message, error.headers), request.scope[REQUEST_ID])
