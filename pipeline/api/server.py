"""The HTTP API put together: settings made into the things that resources work with, an ASGI app, and the server that runs it."""

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from pipeline.api.bodies import Bodies
from pipeline.api.context import Api
from pipeline.api.metrics import ApiMetrics
from pipeline.api.observed import Explained, Observed, answer_http_exception
from pipeline.api.outlet import OpenOutlet, Outlet
from pipeline.api.protocol import HeadLimits, build_protocol
from pipeline.api.readiness import Readiness
from pipeline.api.routes import ROUTES
from pipeline.api.shown import AS_OF
from pipeline.auth.gate import Gate
from pipeline.auth.guests import GuestDesk
from pipeline.auth.rates import Rates
from pipeline.collect.streams import load_streams
from pipeline.config import Settings
from pipeline.definitions.database import open_definitions, reading
from pipeline.definitions.key_ring import KeyRing, load_key_ring
from pipeline.definitions.vault import VaultError, build_vault
from pipeline.endpoints.index import EndpointIndex
from pipeline.stores import build_store
from pipeline.topics import ensure_topics
from schemas.errors import HeadwaterError

log = logging.getLogger(__name__)

# How soon a key that another process made or revoked counts.
KEYS_SECS = 5.0
# How old the keys may be before the API says that it is not ready.
KEYS_SECS_MAX = 60.0
# What a connection that asks nothing is kept: longer than clients keep theirs, or one would be closed under a request.
IDLE_SECS = 75
# After SIGTERM: requests that are under way, then what Kafka has not answered for.
STOP_SECS_MAX = 12
# The longest list of response headers that a browser may see.
_EXPOSED = ["x-amzn-errortype", "x-amzn-requestid", "retry-after", "date", AS_OF]


def build_api(settings: Settings, metrics: ApiMetrics, open_outlet: OpenOutlet = Outlet) -> Api:
    """Settings made into what resources work with; the definitions database is made or migrated.

    Raises SettingError for settings that cannot be used, UnavailableError when the database does not answer.
    """
    streams, vault, engine = load_streams(settings.api_streams), build_vault(settings), open_definitions(settings)
    store = build_store(settings)

    unreadable: set[str] = set()

    def note_unreadable(error: VaultError) -> None:
        """Said once; the keys are read every few seconds."""
        if str(error) not in unreadable:
            unreadable.add(str(error))
            log.warning("A key is left out: %s", error)

    def load_ring() -> KeyRing:
        with reading(engine) as connection:
            return load_key_ring(connection, vault, note_unreadable)

    gate = Gate(
        load_ring,
        GuestDesk(vault.derive("guests")),
        settings.api_clock_window_secs,
        lambda: dt.datetime.now(dt.UTC),
        settings.api_auth == "off",
    )
    outlet = open_outlet(settings)
    # A body that is never held as a whole is refused for good, not for now.
    body_bytes_max = min(settings.api_body_bytes_max, settings.api_held_bytes_max)
    bodies = Bodies(body_bytes_max, settings.api_held_bytes_max, settings.api_read_secs_max)
    endpoints = EndpointIndex(settings, metrics)
    metrics.watch(lambda: outlet.bytes_held + bodies.bytes_held, lambda: gate.age_secs, lambda: endpoints.age_secs)

    def check_lake() -> None:
        store.client().head_bucket(Bucket=store.bucket)

    def check_keys() -> None:
        if gate.age_secs > KEYS_SECS_MAX:
            raise LookupError(f"The keys were read {gate.age_secs:.0f} s ago for the last time.")

    readiness = Readiness({"kafka": outlet.check, "lake": check_lake, "keys": check_keys})

    return Api(settings, outlet, gate, Rates(settings.api_guests_per_min), bodies, engine, streams, metrics, readiness, endpoints)


def build_app(api: Api) -> Starlette:
    """The ASGI app. At its end it waits until Kafka has answered for everything that was sent."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        api.endpoints.start()
        tasks = [asyncio.create_task(each) for each in (_refresh_keys(api.gate), _make_topics(api.settings))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(api.outlet.close, STOP_SECS_MAX)
        await asyncio.to_thread(api.endpoints.close, STOP_SECS_MAX)
        api.definitions.dispose()

    app = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        middleware=[
            Middleware(Observed, metrics=api.metrics, release=api.bodies.release),
            Middleware(
                CORSMiddleware,
                allow_origins=list(api.settings.api_origins),
                allow_methods=["GET", "POST", "PUT", "DELETE"],
                allow_headers=["*"],
                expose_headers=_EXPOSED,
                max_age=86400,
            ),
            Middleware(Explained),
        ],
        exception_handlers={HTTPException: answer_http_exception},
    )
    # A path with a slash too many is none of ours: AWS's SDKs follow no redirect.
    app.router.redirect_slashes = False
    app.state.api = api
    return app


def build_server(settings: Settings, api: Api) -> uvicorn.Server:
    """The server; `run()` serves until SIGTERM or SIGINT."""
    limits = HeadLimits(
        settings.api_header_bytes_max,
        settings.api_read_secs_max,
        settings.api_connections_max,
        on_refused=lambda status: api.metrics.refusals.labels(str(status)).inc(),
    )
    config = uvicorn.Config(
        build_app(api),
        host=settings.api_host,
        port=settings.api_address_port,
        http=build_protocol(limits),
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.api_trusted_proxies),
        forwarded_allow_ips=list(settings.api_trusted_proxies) or None,
        timeout_keep_alive=IDLE_SECS,
        timeout_graceful_shutdown=STOP_SECS_MAX,
        backlog=512,
    )
    return uvicorn.Server(config)


async def _refresh_keys(gate: Gate) -> None:
    while True:
        await asyncio.sleep(KEYS_SECS)
        await asyncio.to_thread(gate.refresh)


async def _make_topics(settings: Settings) -> None:
    """Have the topics, as soon as Kafka answers: one that a broker makes by itself would lack their configuration."""
    backoff = 0.5
    while True:
        try:
            await asyncio.to_thread(ensure_topics, settings)
            return
        except HeadwaterError as error:
            log.warning("Waiting %.1f s for Kafka's topics: %s", backoff, error)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, 10)
