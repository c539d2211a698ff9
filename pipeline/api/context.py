"""What every resource works with: the settings, the way to Kafka, the gate, the definitions, the endpoints; and how a request is let in."""

import asyncio
import datetime as dt
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import sqlalchemy as sa
from starlette.requests import Request

from pipeline.api.bodies import Bodies
from pipeline.api.errors import ApiError, not_found
from pipeline.api.metrics import ApiMetrics
from pipeline.api.observed import CALLER
from pipeline.api.outlet import Outlet
from pipeline.api.readiness import Readiness
from pipeline.auth.claim import SignedRequest, read_claim
from pipeline.auth.errors import UNKNOWN, DeniedError
from pipeline.auth.gate import REST_SERVICES, Caller, Gate
from pipeline.auth.rates import Rates
from pipeline.collect.outgoing import Item, Limits, Outgoing, Sender
from pipeline.collect.streams import Streams
from pipeline.config import Settings
from pipeline.definitions.key import Scope
from pipeline.endpoints.index import EndpointIndex

T = TypeVar("T")

SOURCE = "api"
# So many lines or records take some ten milliseconds to read.
GIVE_WAY_EVERY = 100


@dataclass(frozen=True)
class Api:
    """All that resources share; one a process."""

    settings: Settings
    outlet: Outlet
    gate: Gate
    rates: Rates
    bodies: Bodies
    definitions: sa.Engine
    streams: Streams
    metrics: ApiMetrics
    readiness: Readiness
    endpoints: EndpointIndex


@dataclass(frozen=True)
class Admitted:
    """A request that was let in: who called, and its body, unpacked."""

    caller: Caller
    body: bytes


def limits_of(request: Request) -> Limits:
    """What one request may hold, by the settings."""
    settings = api_of(request).settings
    return Limits(settings.message_bytes_max, settings.api_items_max, settings.api_held_bytes_max)


def api_of(request: Request) -> Api:
    """What the request's resource works with."""
    return cast(Api, request.app.state.api)


async def admit(
    request: Request, scope: Scope, app_id: str | None = None, services: frozenset[str] = REST_SERVICES, any_app: bool = False
) -> Admitted:
    """Let a request in: who calls is looked at before the body is read, and proven after.

    `any_app`: which app it is stands in the body only, and whoever reads it there asks `caller.require` again.

    Raises DeniedError, or ApiError for a body that cannot be taken.
    """
    api, signed = api_of(request), read_signed(request)
    claim = read_claim(signed)
    if claim is not None:
        # Whom the request says to come from: what operators look for when it is refused.
        request.scope[CALLER] = claim.access_key_id
    presumed = await ask_gate(api, lambda: api.gate.presume(signed, claim, services))
    request.scope[CALLER] = presumed.caller.name
    presumed.caller.require(scope, presumed.caller.app_id if any_app else app_id)
    packed = await api.bodies.read(request)
    caller = api.gate.prove(presumed, signed, packed)
    return Admitted(caller, api.bodies.unpack(request, packed))


async def ask_gate(api: Api, ask: Callable[[], T]) -> T:
    """What the gate says; whom it does not know it looks up anew first: a key works as soon as it is made. Raises DeniedError."""
    asked_at = time.monotonic()
    try:
        return ask()
    except DeniedError as error:
        if error.kind != UNKNOWN:
            raise
    await api.gate.know_since(asked_at)
    return ask()


async def require_app(request: Request, app_id: str) -> None:
    """Raises ApiError (404) when there is no such app."""
    gate = api_of(request).gate
    if app_id not in gate.ring.app_ids:
        await gate.know_since(time.monotonic())
    if app_id not in gate.ring.app_ids:
        raise not_found("App", app_id, f"'headwater apps create NAME --id {app_id}' makes it.")


def require_rate(request: Request, caller: Caller, count: int) -> None:
    """Raises ApiError (429) when the key's own bound is reached."""
    if caller.events_per_sec is None:
        return
    wait_secs = math.ceil(api_of(request).rates.take_events(caller.name, caller.events_per_sec, count))
    if wait_secs:
        message = f"Key '{caller.name}' may send {caller.events_per_sec:g} events a second; send it again in {wait_secs} s."
        raise ApiError(429, "TooManyRequestsException", message, {"retry-after": str(wait_secs)})


def owe_rate(request: Request, caller: Caller, count: int) -> None:
    """Count what a request turned out to do beyond what it was let in for."""
    if caller.events_per_sec is not None:
        api_of(request).rates.owe_events(caller.name, caller.events_per_sec, count)


def read_sender(request: Request, sent_at: dt.datetime | None, source: str = SOURCE) -> Sender:
    """What the request says of who sent it."""
    client = request.client
    return Sender(
        received_at=time.time_ns() // 1_000_000,
        source=source,
        client_ip=client.host if client is not None else None,
        user_agent=request.headers.get("user-agent"),
        sent_at=int(sent_at.timestamp() * 1000) if sent_at is not None else None,
    )


def read_signed(request: Request) -> SignedRequest:
    """The request as it was signed: its path as on the wire."""
    headers = [(name.decode("latin-1"), _as_text(value)) for name, value in request.scope["headers"]]
    path: str = request.scope["raw_path"].decode("latin-1")
    return SignedRequest(request.method, path, request.scope["query_string"].decode("latin-1"), headers)


def _as_text(value: bytes) -> str:
    """A header's value: UTF-8, as clients sign it, or else what HTTP says."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def give_way(place: int) -> None:
    """Let other requests go on now and then while a large one is read."""
    if place % GIVE_WAY_EVERY == GIVE_WAY_EVERY - 1:
        await asyncio.sleep(0)


async def send_items(request: Request, door: str, items: Sequence[Item]) -> list[bool]:
    """Write items to Kafka; for each, whether Kafka has it. Counted by door."""
    api = api_of(request)
    stored = await api.outlet.send([item.outgoing for item in items])
    refused = accepted = 0
    for item, is_stored in zip(items, stored, strict=True):
        if item.refusal is not None:
            api.metrics.rejected.labels(door, item.refusal.reason.value).inc()
            refused += 1
        elif is_stored:
            accepted += 1
    api.metrics.accepted.labels(door).inc(accepted)
    api.metrics.not_stored.labels(door).inc(len(items) - refused - accepted)
    return stored


async def send_refusal(request: Request, outgoing: Outgoing) -> None:
    """Keep a body that was refused as a whole. Raises ApiError (500) when Kafka has not taken it: the client shall not drop it then."""
    (is_stored,) = await api_of(request).outlet.send([outgoing])
    if not is_stored:
        raise ApiError(
            500, "InternalServerErrorException", "The body is no events, and is not stored to be looked at either; send it again."
        )
