"""A user's endpoints as Pinpoint's API has them: GetUserEndpoints, DeleteUserEndpoints. User ids are compared letter by letter."""

import datetime as dt

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.context import admit, owe_rate, read_sender, require_app, require_rate
from pipeline.api.endpoints import send_all
from pipeline.api.errors import bad_request, json_response
from pipeline.api.shown import as_of_header, read_endpoints, read_for_reader, wait_for_accepted
from pipeline.collect.endpoints import delete_endpoint, delete_user
from pipeline.collect.outgoing import Item
from pipeline.definitions.key import Scope
from pipeline.endpoints.pinpoint_json import endpoint_json


async def show_endpoints(request: Request) -> Response:
    """GetUserEndpoints: 404 for a user who has none."""
    app_id, user_id = request.path_params["app_id"], _user_id(request)
    found, headers = await read_for_reader(
        request, app_id, lambda index: index.find_user_endpoints(app_id, user_id), "User", user_id, "no endpoint has this user"
    )
    return json_response({"Item": [endpoint_json(row) for row in found]}, headers=headers)


async def delete_endpoints(request: Request) -> Response:
    """DeleteUserEndpoints: first waits until every endpoint is known that was accepted before, so that none is left over.

    A user without endpoints may still have attributes: they are forgotten all the same, and the answer has no item.
    """
    app_id, user_id = request.path_params["app_id"], _user_id(request)
    admitted = await admit(request, Scope.MANAGE, app_id)
    await require_app(request, app_id)
    # Before it waits; how much it deletes is known after.
    require_rate(request, admitted.caller, 1)
    sender = read_sender(request, admitted.caller.sent_at)
    await wait_for_accepted(request, dt.datetime.fromtimestamp(sender.received_at / 1000, dt.UTC))
    found, as_of = await read_endpoints(request, lambda index: index.find_user_endpoints(app_id, user_id))
    owe_rate(request, admitted.caller, len(found))
    ids = [row["endpoint_id"] for row in found]
    items = [Item(delete_endpoint(app_id, endpoint_id, sender, user_id), endpoint_id) for endpoint_id in ids]
    await send_all(request, [*items, Item(delete_user(app_id, user_id, sender))])
    return json_response({"Item": [endpoint_json(row) for row in found]}, 202, as_of_header(as_of))


def _user_id(request: Request) -> str:
    user_id: str = request.path_params["user_id"]
    if not user_id:
        raise bad_request("The path ends in '/users/'; expected a user's id after it.")
    return user_id
