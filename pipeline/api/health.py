"""What operators ask: `/health` (the process answers), `/ready` (Kafka and the lake do, and the keys are read), `/metrics`."""

import ipaddress

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.context import admit, api_of
from pipeline.api.errors import json_response
from pipeline.definitions.key import Scope


async def show_health(request: Request) -> Response:
    """The process answers."""
    return json_response({"status": "ok"})


async def show_readiness(request: Request) -> Response:
    """200 when Kafka has the topics, the lake's store answers and the keys are read, else 503 with which of them is not so."""
    said = await api_of(request).readiness.ask()
    is_ready = all(each == "ok" for each in said.values())
    return json_response({"status": "ok" if is_ready else "not ready", **said}, 200 if is_ready else 503)


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
