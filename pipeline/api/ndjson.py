"""NDJSON: `POST /v1/apps/{app_id}/ndjson`, a stream record, a body of PutEvents or free JSON a line."""

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.context import admit, api_of, give_way, limits_of, read_sender, require_app, require_rate, send_items
from pipeline.api.errors import ApiError, bad_request, json_response
from pipeline.collect.free_json import RecordReader
from pipeline.collect.outgoing import Items, TooMuchError
from pipeline.definitions.key import Scope


async def take_lines(request: Request) -> Response:
    """Lines of an app; `?stream=NAME` reads free JSON by the mapping of a declared stream."""
    app_id: str = request.path_params["app_id"]
    admitted = await admit(request, Scope.INGEST, app_id)
    await require_app(request, app_id)
    api, name = api_of(request), request.query_params.get("stream")
    stream = api.streams.get(name) if name is not None else None
    if name is not None and stream is None:
        raise bad_request(f"Parameter 'stream' is '{name[:128]}'; expected a stream that setting HEADWATER_API_STREAMS declares.")
    sender = read_sender(request, admitted.caller.sent_at, source="ndjson")
    limits = limits_of(request)
    reader = RecordReader(app_id, sender, limits, stream.mapping if stream is not None else None)
    if admitted.body.count(b"\n") > limits.items_max:
        raise TooMuchError(f"The body has more than {limits.items_max} lines (setting HEADWATER_API_ITEMS_MAX); send fewer at once.")
    items = Items(limits)
    numbers: list[int] = []
    for number, line in enumerate(admitted.body.split(b"\n"), 1):
        if line.strip():
            items.add(reader.read(line))
            numbers += [number] * (len(items.made) - len(numbers))
            await give_way(number)
    require_rate(request, admitted.caller, len(items.made))
    stored = await send_items(request, "ndjson", items.made)
    if not all(stored):
        raise ApiError(
            500, "InternalServerErrorException", f"{stored.count(False)} of {len(stored)} records are not stored; send all of it again."
        )
    named = zip(numbers, items.made, strict=True)
    refused = [{"line": number, "error": item.refusal.error} for number, item in named if item.refusal is not None]
    return json_response({"accepted": len(items.made) - len(refused), "rejected": refused})
