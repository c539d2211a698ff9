"""What operators ask: `/health` (the process answers), `/ready` (Kafka and the lake do), `/metrics`."""

import asyncio
import ipaddress
import logging

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.context import admit, api_of
from pipeline.api.errors import json_response
from pipeline.definitions.key import Scope

log = logging.getLogger(__name__)


async def show_health(request: Request) -> Response:
    """The process answers."""
    return json_response({"status": "ok"})


async def show_readiness(request: Request) -> Response:
    """200 when Kafka has the topics and the lake's store answers, else 503 with which of them does not."""
    api = api_of(request)
    checks = {"kafka": api.outlet.check, "lake": api.check_lake}
    found = await asyncio.gather(*(asyncio.to_thread(check) for check in checks.values()), return_exceptions=True)
    failed = {name: result for name, result in zip(checks, found, strict=True) if isinstance(result, BaseException)}
    for name, error in failed.items():
        log.warning("Not ready: %s: %s", name, error)
    said = {name: "ok" if name not in failed else "does not answer" for name in checks}
    return json_response({"status": "ok" if not failed else "not ready", **said}, 503 if failed else 200)


async def show_metrics(request: Request) -> Response:
    """Prometheus' text form; to this machine as it is, to others with a key that may read."""
    if not _is_loopback(request):
        await admit(request, Scope.READ)
    return Response(generate_latest(api_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _is_loopback(request: Request) -> bool:
    """Whether somebody on this machine asks; a proxy that passes on what others ask says so."""
    if "x-forwarded-for" in request.headers:
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
