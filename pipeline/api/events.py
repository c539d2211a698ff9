"""PutEvents: `POST /v1/apps/{app_id}/events`.

What clients do with an answer decides whether events are lost. A whole request is refused only for what its sender did wrong; where Kafka
is away the answer is HTTP 202 with StatusCode 500 for each item, which every SDK of Pinpoint's sends again.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from agents.parsing.exact_json import Unreadable
from agents.parsing.fit import Unfit
from pipeline.api.context import admit, limits_of, read_sender, require_app, require_rate, send_items, send_refusal
from pipeline.api.errors import bad_request, json_response
from pipeline.collect.outgoing import Item, outgoing_refusal, refuse
from pipeline.collect.put_events import PutEventsReader
from pipeline.definitions.key import Scope

ACCEPTED: dict[str, Any] = {"StatusCode": 202, "Message": "Accepted"}
NOT_STORED: dict[str, Any] = {"StatusCode": 500, "Message": "Not stored: Kafka has not acknowledged it. Send it again with the same ids."}


async def put_events(request: Request) -> Response:
    """Events of an app: accepted once Kafka has acknowledged each, refused one by one."""
    app_id: str = request.path_params["app_id"]
    admitted = await admit(request, Scope.INGEST, app_id)
    await require_app(request, app_id)
    sender, limits = read_sender(request, admitted.caller.sent_at), limits_of(request)
    try:
        items = PutEventsReader(app_id, sender, limits).read(admitted.body)
    except (Unreadable, Unfit) as error:
        await send_refusal(request, outgoing_refusal(refuse(error, admitted.body), app_id, sender, limits.event_bytes_max))
        raise bad_request(f"The body: {error.error}") from None
    require_rate(request, admitted.caller, len(items))
    stored = await send_items(request, "put_events", items)
    return json_response({"Results": _results(items, stored)}, 202)


def _results(items: list[Item], stored: list[bool]) -> dict[str, Any]:
    """Pinpoint's ItemResponse by endpoint id."""
    results: dict[str, Any] = {}
    for item, is_stored in zip(items, stored, strict=True):
        found = results.get(item.endpoint_id)
        if found is None:
            found = results[item.endpoint_id] = {"EndpointItemResponse": ACCEPTED, "EventsItemResponse": {}}
        # What is refused is so only once its dead letter is safe.
        answer: dict[str, Any] = NOT_STORED if not is_stored else ACCEPTED
        if is_stored and item.refusal is not None:
            answer = {"StatusCode": 400, "Message": item.refusal.error}
        if item.event_id is None:
            found["EndpointItemResponse"] = answer
        else:
            found["EventsItemResponse"][item.event_id] = answer
    return results
