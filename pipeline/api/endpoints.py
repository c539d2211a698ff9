"""Endpoints as Pinpoint's API has them: UpdateEndpoint, UpdateEndpointsBatch, GetEndpoint, DeleteEndpoint.

What changes an endpoint is accepted once Kafka has acknowledged it, whatever else is away; what is shown is what has landed until the
moment that the answer's header says.
"""

from contextlib import suppress
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from agents.parsing.exact_json import Unreadable, parse_counted, parse_exactly, shorten
from agents.parsing.fit import Unfit
from agents.parsing.update_shape import read_update
from pipeline.api.context import admit, give_way, limits_of, read_sender, require_app, require_rate, send_items, send_refusal
from pipeline.api.errors import ApiError, bad_request, json_response
from pipeline.api.observed import REQUEST_ID
from pipeline.api.shown import Rows, read_endpoints, read_for_reader
from pipeline.collect.endpoints import delete_endpoint, read_endpoint, update_endpoint
from pipeline.collect.outgoing import Item, Items, Limits, Sender, outgoing_refusal, refuse
from pipeline.definitions.key import Scope
from pipeline.endpoints.pinpoint_json import endpoint_json
from schemas.records import Reason

NOT_STORED = "Not stored: Kafka has not acknowledged it. Send it again."
DOOR = "endpoints"
# Refused items that an answer names; the others are counted.
_NAMED_MAX = 20


class _Batch(msgspec.Struct):
    """A body of UpdateEndpointsBatch: each item as it was sent."""

    Item: list[msgspec.Raw]


_decode_batch = msgspec.json.Decoder(_Batch).decode


async def update_one(request: Request) -> Response:
    """UpdateEndpoint."""
    app_id, endpoint_id = request.path_params["app_id"], _endpoint_id(request)
    admitted = await admit(request, Scope.INGEST, app_id)
    await require_app(request, app_id)
    require_rate(request, admitted.caller, 1)
    sender, limits = read_sender(request, admitted.caller.sent_at), limits_of(request)
    # The answer's RequestID: `headwater trace` finds the update by it.
    item = _read_item(app_id, endpoint_id, admitted.body, sender, limits, request.scope[REQUEST_ID])
    await send_all(request, [item])
    if item.refusal is not None:
        raise bad_request(item.refusal.error)
    return accepted(request)


async def update_batch(request: Request) -> Response:
    """UpdateEndpointsBatch: every good item is accepted, and where one is bad the answer is a 400 that says which, since an SDK's user
    looks at no more than that. Sent again as a whole, the good ones say the same once more."""
    app_id = request.path_params["app_id"]
    admitted = await admit(request, Scope.INGEST, app_id)
    await require_app(request, app_id)
    sender, limits = read_sender(request, admitted.caller.sent_at), limits_of(request)
    items = await _read_batch(request, app_id, admitted.body, sender, limits)
    require_rate(request, admitted.caller, len(items))
    await send_all(request, items)
    bad = [(place, item.refusal) for place, item in enumerate(items) if item.refusal is not None]
    if bad:
        named = "; ".join(f"item {place}: {refusal.error}" for place, refusal in bad[:_NAMED_MAX])
        more = f"; and {len(bad) - _NAMED_MAX} more" if len(bad) > _NAMED_MAX else ""
        raise bad_request(f"{len(items) - len(bad)} of {len(items)} endpoints are accepted. Refused, counted from 0: {named}{more}")
    return accepted(request)


async def show_one(request: Request) -> Response:
    """GetEndpoint."""
    app_id, endpoint_id = request.path_params["app_id"], _endpoint_id(request)
    found, headers = await read_for_reader(
        request,
        app_id,
        lambda index: index.find_endpoint(app_id, endpoint_id),
        *("Endpoint", endpoint_id, "it was never updated, or is deleted"),
    )
    return json_response(endpoint_json(found[0]), headers=headers)


async def delete_one(request: Request) -> Response:
    """DeleteEndpoint: accepted in any case, since an endpoint may be newer than what is shown. The answer has what is known of it."""
    app_id, endpoint_id = request.path_params["app_id"], _endpoint_id(request)
    admitted = await admit(request, Scope.MANAGE, app_id)
    await require_app(request, app_id)
    require_rate(request, admitted.caller, 1)
    known: Rows = []
    with suppress(ApiError):
        known, _ = await read_endpoints(request, lambda index: index.find_endpoint(app_id, endpoint_id))
    await send_all(request, [Item(delete_endpoint(app_id, endpoint_id, read_sender(request, admitted.caller.sent_at)), endpoint_id)])
    return json_response(endpoint_json(known[0]) if known else {"ApplicationId": app_id, "Id": endpoint_id}, 202)


async def send_all(request: Request, items: list[Item]) -> None:
    """Write all items. Raises ApiError (500) unless Kafka has every one: there is one answer to all, and SDKs try it again."""
    if not all(await send_items(request, DOOR, items)):
        raise ApiError(500, "InternalServerErrorException", NOT_STORED)


def accepted(request: Request) -> Response:
    """Pinpoint's MessageBody."""
    return json_response({"Message": "Accepted", "RequestID": request.scope[REQUEST_ID]}, 202)


def _endpoint_id(request: Request) -> str:
    endpoint_id: str = request.path_params["endpoint_id"]
    if not endpoint_id:
        raise bad_request("The path ends in '/endpoints/'; expected an endpoint's id after it.")
    return endpoint_id


async def _read_batch(request: Request, app_id: str, body: bytes, sender: Sender, limits: Limits) -> list[Item]:
    """The items of a batch in their order. Raises ApiError (400) when it is none, TooMuchError when it holds too much."""
    limits.check_tokens(body)
    try:
        batch = _decode_batch(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        refusal = refuse(Unreadable(Reason.NOT_JSON, f"The body is no batch of endpoints ({error})", "Item, a list of endpoints"), body)
        await send_refusal(request, outgoing_refusal(refusal, app_id, sender, limits.event_bytes_max))
        raise bad_request(refusal.error) from None
    items = Items(limits)
    for place, raw in enumerate(batch.Item):
        items.add([_read_batch_item(app_id, bytes(raw), sender, limits, f"{request.scope[REQUEST_ID]}/{place}")])
        await give_way(place)
    return items.made


def _read_batch_item(app_id: str, raw: bytes, sender: Sender, limits: Limits, update_id: str) -> Item:
    endpoint_id: str | None = None
    try:
        found = parse_exactly(raw)
        named: Any = found.get("Id") if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise Unfit(Reason.NOT_AN_OBJECT, f"The endpoint is {shorten(found)}; expected an object.", {})
        if not isinstance(named, str) or not named:
            shown = "missing" if named is None else shorten(named)
            raise Unfit(Reason.MISSING_FIELD, f"Field 'Id' is {shown}; expected a text, the endpoint's id.", {})
        endpoint_id = named
    except (Unreadable, Unfit) as error:
        refusal = refuse(error, raw)
        return Item(outgoing_refusal(refusal, app_id, sender, limits.event_bytes_max), "", None, refusal)
    return _read_item(app_id, endpoint_id, raw, sender, limits, update_id)


def _read_item(app_id: str, endpoint_id: str, raw: bytes, sender: Sender, limits: Limits, update_id: str) -> Item:
    """An endpoint's update, or its refusal: whatever the worker would refuse of the record, which holds more than the endpoint."""
    try:
        if len(raw) > limits.event_bytes_max:
            raise Unfit(Reason.TOO_LARGE, f"The endpoint has {len(raw)} bytes; expected at most {limits.event_bytes_max}.", {})
        outgoing = update_endpoint(app_id, endpoint_id, read_endpoint(raw), sender, update_id)
        if len(outgoing.value) > limits.event_bytes_max:
            raise Unfit(Reason.TOO_LARGE, f"The update has {len(outgoing.value)} bytes; expected at most {limits.event_bytes_max}.", {})
        read_update(parse_counted(outgoing.value))
    except (Unreadable, Unfit) as error:
        refusal = refuse(error, raw, endpoint_id=endpoint_id)
        return Item(outgoing_refusal(refusal, app_id, sender, limits.event_bytes_max), endpoint_id, None, refusal)
    return Item(outgoing, endpoint_id)
