"""Tags of apps by their ARN: ListTagsForResource, TagResource, UntagResource."""

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.apps import text_map
from pipeline.api.context import admit, require_app
from pipeline.api.definitions import change_definitions, parse_object, read_definitions
from pipeline.api.errors import bad_request, json_response
from pipeline.definitions.apps import find_app, tag_app, untag_app
from pipeline.definitions.key import Scope


async def show_tags(request: Request) -> Response:
    """ListTagsForResource."""
    app_id = _app_id(request)
    await admit(request, Scope.READ, app_id)
    await require_app(request, app_id)
    app = await read_definitions(request, lambda connection: find_app(connection, app_id))
    return json_response({"tags": dict(app.tags) if app is not None else {}})


async def add_tags(request: Request) -> Response:
    """TagResource."""
    app_id = _app_id(request)
    admitted = await admit(request, Scope.MANAGE, app_id)
    await require_app(request, app_id)
    tags = text_map(parse_object(admitted.body).get("tags"), "tags")
    await change_definitions(request, lambda connection: tag_app(connection, app_id, tags))
    return Response(status_code=204)


async def remove_tags(request: Request) -> Response:
    """UntagResource: `tagKeys`, once for each."""
    app_id = _app_id(request)
    await admit(request, Scope.MANAGE, app_id)
    await require_app(request, app_id)
    names = request.query_params.getlist("tagKeys")
    if not names:
        raise bad_request("Parameter 'tagKeys' is missing; expected it once for each tag to be removed.")
    await change_definitions(request, lambda connection: untag_app(connection, app_id, names))
    return Response(status_code=204)


def _app_id(request: Request) -> str:
    arn: str = request.path_params["arn"]
    head, _, app_id = arn.rpartition(":apps/")
    if not head.startswith("arn:aws:mobiletargeting:") or not app_id:
        raise bad_request(f"ARN '{arn[:120]}' names no app; expected arn:aws:mobiletargeting:<region>:<account>:apps/<id>.")
    return app_id
