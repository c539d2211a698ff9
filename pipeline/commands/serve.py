"""`headwater serve`: the HTTP API, until it is told to leave."""

import logging
import signal
import sys

import typer

from pipeline.api.metrics import ApiMetrics
from pipeline.api.server import build_api, build_server
from pipeline.config import load_settings
from pipeline.logs import set_up_logs
from pipeline.stack.ports import find_owner, is_free
from schemas.errors import UsageError

app = typer.Typer()
log = logging.getLogger("headwater.serve")


@app.command()
def serve() -> None:
    """Serve the HTTP API: events as Pinpoint, Kinesis, Firehose and Segment clients send them. /docs describes it.

    SIGTERM ends it once everything accepted is in Kafka. Exit status 2 for a wrong setting.
    """
    settings = load_settings()
    set_up_logs(settings)
    port = settings.api_address_port
    if settings.api_host in {"127.0.0.1", "0.0.0.0"} and not is_free(port):
        raise UsageError(
            f"Setting 'API_PORT' is {port}, and that port is in use by {find_owner(port)}; name a free one, or another HEADWATER_PORT_OFFSET."
        )
    server = build_server(settings, build_api(settings, ApiMetrics()))
    log.info("The API listens on http://%s:%d.", settings.api_host, port)
    if settings.api_auth == "off":
        log.warning(
            "HEADWATER_API_AUTH is off: whoever reaches http://%s:%d may send, read and change everything.", settings.api_host, port
        )
    # uvicorn gives the signal that ended it on to whoever had it before: that it was told to leave is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server.run()
    sys.exit(0 if server.started else 1)
