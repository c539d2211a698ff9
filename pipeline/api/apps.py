"""Apps as Pinpoint's API has them: CreateApp, GetApp, GetApps, DeleteApp."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.context import admit, read_signed
from pipeline.api.definitions import change_definitions, parse_object, read_definitions, read_page_size, text_member
from pipeline.api.errors import ApiError, bad_request, json_response
from pipeline.auth.claim import read_claim
from pipeline.definitions.apps import App, create_app, delete_app, find_app, list_apps
from pipeline.definitions.key import Scope
from pipeline.moments import format_moment

# Headwater has no accounts: its ARNs carry this one.
ACCOUNT = "000000000000"


async def create_one(request: Request) -> Response:
    """CreateApp; with `Id`, which AWS has not, the app keeps the id that its SDKs were built with."""
    admitted = await admit(request, Scope.MANAGE)
    body = parse_object(admitted.body)
    name, tags = text_member(body, "Name"), text_map(body.get("tags"), "tags")
    app_id = text_member(body, "Id") if body.get("Id") is not None else None
    app = await change_definitions(request, lambda connection: create_app(connection, name, app_id, tags))
    return json_response(_app_response(request, app), 201)


async def show_one(request: Request) -> Response:
    """GetApp."""
    app_id = request.path_params["app_id"]
    await admit(request, Scope.READ, app_id)
    app = await read_definitions(request, lambda connection: find_app(connection, app_id))
    return json_response(_app_response(request, _found(app)))


async def show_all(request: Request) -> Response:
    """GetApps: `page-size` apps after `token`; a key of one app sees that one."""
    admitted = await admit(request, Scope.READ, any_app=True)
    size, token = read_page_size(request), request.query_params.get("token")
    only = admitted.caller.app_id
    if only is not None:
        one = await read_definitions(request, lambda connection: find_app(connection, only))
        return json_response({"Item": [_app_response(request, one)] if one else []})
    apps = await read_definitions(request, lambda connection: list_apps(connection, token, size + 1))
    page = apps[:size]
    more = {"NextToken": page[-1].app_id} if len(apps) > len(page) else {}
    return json_response({"Item": [_app_response(request, app) for app in page], **more})


async def delete_one(request: Request) -> Response:
    """DeleteApp; its events stay in the lake."""
    app_id = request.path_params["app_id"]
    await admit(request, Scope.MANAGE, app_id)
    app = await change_definitions(request, lambda connection: delete_app(connection, app_id))
    return json_response(_app_response(request, _found(app)))


def app_arn(request: Request, app_id: str) -> str:
    """The app's ARN in the region that the request was signed for."""
    claim = read_claim(read_signed(request))
    return f"arn:aws:mobiletargeting:{claim.region if claim else 'us-east-1'}:{ACCOUNT}:apps/{app_id}"


def text_map(value: Any, name: str) -> Mapping[str, str]:
    """A member that is an object of texts, or nothing. Raises ApiError (400)."""
    found = {} if value is None else value
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise bad_request(f"Field '{name}' is {repr(value)[:80]}; expected an object of texts.")
    return found


def _found(app: App | None) -> App:
    if app is None:
        raise ApiError(404, "NotFoundException", "Application not found")
    return app


def _app_response(request: Request, app: App) -> dict[str, Any]:
    response = {"Arn": app_arn(request, app.app_id), "Id": app.app_id, "Name": app.name, "CreationDate": format_moment(app.created_at)}
    return response | {"tags": dict(app.tags)}
