"""How resources show endpoints: from the API's own table of them, each answer with the moment up to which it holds everything accepted."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.requests import Request

from pipeline.api.context import admit, api_of, require_app, require_rate
from pipeline.api.errors import ApiError, not_found
from pipeline.definitions.key import Scope
from pipeline.endpoints.index import EndpointIndex, NotLoadedError
from pipeline.moments import format_moment

# The header of every answer that shows endpoints: every update accepted until then is in it.
AS_OF = "x-headwater-as-of"
_LOOK_SECS = 0.05

Rows = list[dict[str, Any]]


def as_of_header(as_of: dt.datetime) -> Mapping[str, str]:
    return {AS_OF: format_moment(as_of)}


async def read_endpoints(request: Request, ask: Callable[[EndpointIndex], Awaitable[Rows]]) -> tuple[Rows, dt.datetime]:
    """What the table of endpoints says, and as of when.

    Raises ApiError (500), which SDKs try again, while it is not loaded, or so old that an answer would say nothing of now.
    """
    api = api_of(request)
    index, secs_max = api.endpoints, api.settings.api_endpoints_stale_secs
    # Asked first: what is read after may be newer than what is said, never older.
    as_of, age_secs = index.as_of, index.age_secs
    if as_of is not None and age_secs > secs_max:
        raise ApiError(
            500,
            "InternalServerErrorException",
            f"Endpoints are known as of {format_moment(as_of)} only, {age_secs:.0f} s ago, and are shown until they are {secs_max:g} s old "
            f"(setting HEADWATER_API_ENDPOINTS_STALE_SECS): {index.why}",
            as_of_header(as_of),
        )
    if as_of is not None:
        with suppress(NotLoadedError):
            return await ask(index), as_of
    raise ApiError(500, "InternalServerErrorException", f"Endpoints cannot be shown yet: {index.why} Ask again in some seconds.")


async def read_for_reader(
    request: Request, app_id: str, ask: Callable[[EndpointIndex], Awaitable[Rows]], kind: str, name: str, why: str
) -> tuple[Rows, Mapping[str, str]]:
    """Let a reader in, and read; the rows, of which there are some, and the header of the answer. Raises ApiError (404) where there are none."""
    admitted = await admit(request, Scope.READ, app_id)
    await require_app(request, app_id)
    require_rate(request, admitted.caller, 1)
    found, as_of = await read_endpoints(request, ask)
    if not found:
        raise not_found(kind, name, f"{why}, as of the moment in the header.", as_of_header(as_of))
    return found, as_of_header(as_of)


async def wait_for_accepted(request: Request, moment: dt.datetime) -> None:
    """Come back once everything accepted until `moment` can be shown.

    Raises ApiError (500) when that is not so within API_ENDPOINTS_FRESH_SECS.
    """
    api = api_of(request)
    index, secs = api.endpoints, api.settings.api_endpoints_fresh_secs
    try:
        async with asyncio.timeout(secs):
            while (as_of := index.as_of) is None or as_of < moment:
                await asyncio.sleep(_LOOK_SECS)
    except TimeoutError:
        as_of = index.as_of
        shown = f"are known as of {format_moment(as_of)}" if as_of is not None else "are not known yet"
        raise ApiError(
            500,
            "InternalServerErrorException",
            f"Nothing was changed: endpoints {shown}, and had to be as of {format_moment(moment)} within {secs:g} s "
            "(setting HEADWATER_API_ENDPOINTS_FRESH_SECS); see that a worker runs, and send it again.",
        ) from None
