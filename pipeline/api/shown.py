"""How resources show endpoints: from the API's own table of them, each answer with the moment up to which it holds everything accepted."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request

from pipeline.api.context import api_of
from pipeline.api.errors import ApiError
from pipeline.endpoints.index import EndpointIndex
from pipeline.moments import format_moment

# The header of every answer that shows endpoints: every update accepted until then is in it.
AS_OF = "x-headwater-as-of"
_LOOK_SECS = 0.05

Rows = list[dict[str, Any]]


def as_of_header(as_of: dt.datetime) -> Mapping[str, str]:
    return {AS_OF: format_moment(as_of)}


async def read_endpoints(request: Request, ask: Callable[[EndpointIndex], Awaitable[Rows]]) -> tuple[Rows, dt.datetime]:
    """What the table of endpoints says, and as of when. Raises ApiError (500) while it is not loaded, which SDKs try again."""
    index = api_of(request).endpoints
    # Asked first: what is read after may be newer than what is said, never older.
    as_of = index.as_of
    if as_of is None:
        raise ApiError(
            500, "InternalServerErrorException", f"Endpoints cannot be shown yet: {index.why_not_ready} Ask again in some seconds."
        )
    return await ask(index), as_of


async def wait_for_accepted(request: Request, moment: dt.datetime) -> None:
    """Come back once everything accepted until `moment` can be shown.

    Raises ApiError (500) when that is not so within API_ENDPOINTS_FRESH_SECS.
    """
    api = api_of(request)
    index, secs = api.endpoints, api.settings.api_endpoints_fresh_secs
    try:
        async with asyncio.timeout(secs):
            while index.as_of is None or index.as_of < moment:
                await asyncio.sleep(_LOOK_SECS)
    except TimeoutError:
        shown = f"are known as of {format_moment(index.as_of)}" if index.as_of is not None else "are not known yet"
        raise ApiError(
            500,
            "InternalServerErrorException",
            f"Nothing was changed: endpoints {shown}, and had to be as of {format_moment(moment)} within {secs:g} s "
            "(setting HEADWATER_API_ENDPOINTS_FRESH_SECS); see that a worker runs, and send it again.",
        ) from None
