"""An app's settings (GetApplicationSettings, UpdateApplicationSettings), kept for the campaigns that read them."""

import datetime as dt
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.context import admit, require_app
from pipeline.api.definitions import change_definitions, parse_object, read_definitions
from pipeline.api.errors import bad_request, json_response
from pipeline.definitions.key import Scope
from pipeline.definitions.settings import load_app_settings, update_app_settings
from pipeline.moments import format_moment

# Members of Pinpoint's WriteApplicationSettingsRequest, and what each is.
MEMBERS: dict[str, type] = {
    "CampaignHook": dict,
    "CloudWatchMetricsEnabled": bool,
    "EventTaggingEnabled": bool,
    "Limits": dict,
    "QuietTime": dict,
    "JourneyLimits": dict,
}
_MODIFIED = "LastModifiedDate"


async def show_settings(request: Request) -> Response:
    """GetApplicationSettings."""
    app_id = request.path_params["app_id"]
    await admit(request, Scope.READ, app_id)
    await require_app(request, app_id)
    return json_response(_resource(app_id, await read_definitions(request, lambda connection: load_app_settings(connection, app_id))))


async def update_settings(request: Request) -> Response:
    """UpdateApplicationSettings: members that are given replace those before."""
    app_id = request.path_params["app_id"]
    admitted = await admit(request, Scope.MANAGE, app_id)
    await require_app(request, app_id)
    changes = parse_object(admitted.body)
    for name, value in changes.items():
        kind = MEMBERS.get(name)
        if kind is None:
            raise bad_request(f"Field '{name[:80]}' is none of an app's settings; expected some of {', '.join(MEMBERS)}.")
        if not isinstance(value, kind):
            raise bad_request(f"Field '{name}' is {repr(value)[:80]}; expected {'an object' if kind is dict else 'true or false'}.")
    changes[_MODIFIED] = format_moment(dt.datetime.now(dt.UTC))
    return json_response(
        _resource(app_id, await change_definitions(request, lambda connection: update_app_settings(connection, app_id, changes)))
    )


def _resource(app_id: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"ApplicationId": app_id, **{name: value for name, value in found.items() if name in MEMBERS or name == _MODIFIED}}
