"""The tracking snippet: `GET /t.js`, the file t.js beside this one."""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_TEXT = (Path(__file__).parent / "t.js").read_bytes()
_ETAG = f'"{hashlib.sha256(_TEXT).hexdigest()[:16]}"'


async def show_snippet(request: Request) -> Response:
    """The file, for an hour; a browser that has it already is told so."""
    headers = {"etag": _ETAG, "cache-control": "public, max-age=3600"}
    if request.headers.get("if-none-match") == _ETAG:
        return Response(status_code=304, headers=headers)
    return Response(_TEXT, headers=headers, media_type="text/javascript; charset=utf-8")
