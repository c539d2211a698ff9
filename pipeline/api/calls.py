"""The plain door: `POST /v1/batch` takes Segment's calls, `POST /v1/{track,identify,...}` one of them; the write key says which app."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from agents.parsing.exact_json import Unreadable
from agents.parsing.fit import Unfit
from pipeline.api.context import api_of, ask_gate, limits_of, read_sender, read_signed, require_app, require_rate, send_items, send_refusal
from pipeline.api.errors import ApiError, bad_request, json_response
from pipeline.api.observed import CALLER
from pipeline.auth.errors import DeniedError
from pipeline.auth.gate import read_write_key
from pipeline.collect.call_parts import parse_sent_at
from pipeline.collect.calls import TYPES, CallReader, parse_calls
from pipeline.collect.outgoing import outgoing_refusal, refuse
from pipeline.definitions.key import Scope

# What a path says that its call is: the whole word, or its first letter, as Segment's tracker for browsers has it; None for a batch.
KINDS: dict[str, str | None] = {"batch": None, "b": None} | {path: kind for kind in TYPES for path in (kind, kind[0])}
# A body whose key stands within it: trackers gather up to 500 kB.
KEYLESS_BYTES_MAX = 600_000


async def take_calls(request: Request) -> Response:
    """Calls in a batch. What is not stored fails the whole: trackers send it again with the same ids, and the worker tells them apart."""
    api = api_of(request)
    # A page that is left sends no header: its key stands in the body.
    shown = read_write_key(read_signed(request))
    caller = None
    if shown is not None:
        caller = await ask_gate(api, lambda: api.gate.find_writer(shown))
    elif api.gate.is_open:
        caller = api.gate.find_writer("")
    # Before a key is seen nobody is given much room.
    bytes_max = None if caller is not None else KEYLESS_BYTES_MAX
    body, limits = api.bodies.unpack(request, await api.bodies.read(request, bytes_max), bytes_max), limits_of(request)
    request.scope[CALLER] = caller.name if caller is not None else "-"
    try:
        parsed = parse_calls(body, limits, KINDS[request.url.path.rpartition("/")[2]])
    except (Unreadable, Unfit) as error:
        if caller is not None and caller.app_id is not None:
            caller.require(Scope.INGEST, caller.app_id)
            refusal = refuse(error, body)
            await send_refusal(request, outgoing_refusal(refusal, caller.app_id, read_sender(request, None), limits.event_bytes_max))
        raise bad_request(f"The body: {error.error}") from None
    if caller is None:
        written = parsed.get("writeKey")
        if not isinstance(written, str):
            raise DeniedError(
                "MissingAuthenticationTokenException",
                "There is no write key; expected it as user of basic authorization, or in 'writeKey'.",
            )
        caller = await ask_gate(api, lambda: api.gate.find_writer(written))
    app_id = caller.app_id or request.query_params.get("app_id")
    if app_id is None:
        raise bad_request("The write key is of every app; expected one of a single app, or parameter 'app_id'.")
    caller.require(Scope.INGEST, app_id)
    await require_app(request, app_id)
    sender = msgspec.structs.replace(read_sender(request, None, source="batch"), sent_at=parse_sent_at(parsed.get("sentAt")))
    shared = parsed.get("context")
    places = CallReader(app_id, sender, limits, shared if isinstance(shared, dict) else {}).read_all(parsed["batch"])
    items = [item for _, item in places]
    require_rate(request, caller, len(items))
    stored = await send_items(request, "batch", items)
    if not all(stored):
        raise ApiError(
            500, "InternalServerErrorException", f"{stored.count(False)} of {len(stored)} records are not stored; send all of it again."
        )
    refused = [
        {"index": place, "messageId": item.refusal.known.get("event_id"), "error": item.refusal.error}
        for place, item in places
        if item.refusal is not None
    ]
    return json_response({"success": True} | ({"rejected": refused} if refused else {}))
