"""How resources reach the definitions database: off the event loop, in one transaction, wrong input as a 400, lists in pages."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from starlette.requests import Request

from pipeline.api.context import api_of
from pipeline.api.errors import ApiError, bad_request
from pipeline.definitions.database import changing, reading
from schemas.errors import UnavailableError, UsageError

T = TypeVar("T")

PAGE_MAX = 100
_PAGE_SIZE = re.compile(r"[0-9]{1,3}")


async def read_definitions(request: Request, ask: Callable[[sa.Connection], T]) -> T:
    """What `ask` finds. Raises ApiError: 400 for input that cannot be used, 500 when the database does not answer."""
    engine = api_of(request).definitions

    def run() -> T:
        with reading(engine) as connection:
            return ask(connection)

    return await _run(run)


async def change_definitions(request: Request, change: Callable[[sa.Connection], T]) -> T:
    """What `change` gives, once it is committed; the gate knows of it before the answer goes out. Raises ApiError."""
    api = api_of(request)

    def run() -> T:
        with changing(api.definitions) as connection:
            changed = change(connection)
        api.gate.refresh()
        return changed

    return await _run(run)


def parse_object(body: bytes) -> dict[str, Any]:
    """A body that is one JSON object, which may be empty. Raises ApiError (400)."""
    try:
        found = msgspec.json.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise bad_request("The body is JSON and no object; expected one with the operation's members.")
    return found


def text_member(body: dict[str, Any], name: str) -> str:
    """A member that must be a text. Raises ApiError (400)."""
    value = body.get(name)
    if not isinstance(value, str):
        raise bad_request(f"Field '{name}' is {'missing' if value is None else repr(value)[:80]}; expected a text.")
    return value


def read_page_size(request: Request) -> int:
    """Parameter `page-size` of a list; PAGE_MAX when it is not there. Raises ApiError (400)."""
    size = request.query_params.get("page-size", str(PAGE_MAX))
    if not _PAGE_SIZE.fullmatch(size) or not 1 <= int(size) <= PAGE_MAX:
        raise bad_request(f"Parameter 'page-size' is '{size[:20]}'; expected a number from 1 to {PAGE_MAX}.")
    return int(size)


async def _run(run: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(run)
    except UnavailableError as error:
        raise ApiError(500, "InternalServerErrorException", str(error)) from None
    except UsageError as error:
        raise bad_request(str(error)) from None
