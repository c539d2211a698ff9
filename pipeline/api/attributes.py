"""RemoveAttributes: names, or patterns with * and ?, that an app's endpoints take no more."""

from starlette.requests import Request
from starlette.responses import Response

from agents.parsing.update_shape import REMOVED_TYPES
from pipeline.api.context import admit, api_of, read_sender, require_app, require_rate
from pipeline.api.definitions import parse_object
from pipeline.api.endpoints import send_all
from pipeline.api.errors import bad_request, json_response
from pipeline.collect.endpoints import remove_attributes
from pipeline.collect.outgoing import Item
from pipeline.definitions.key import Scope


async def remove_names(request: Request) -> Response:
    """RemoveAttributes: updates accepted after this one lose these names; what endpoints have stays, as with Pinpoint."""
    app_id, attribute_type = request.path_params["app_id"], request.path_params["attribute_type"]
    admitted = await admit(request, Scope.MANAGE, app_id)
    await require_app(request, app_id)
    if attribute_type not in REMOVED_TYPES:
        raise bad_request(f"The attribute type is '{attribute_type[:80]}'; expected one of {', '.join(REMOVED_TYPES)}.")
    names = _read_names(parse_object(admitted.body).get("Blacklist"))
    require_rate(request, admitted.caller, 1)
    outgoing = remove_attributes(app_id, attribute_type, names, read_sender(request, admitted.caller.sent_at))
    bytes_max = api_of(request).settings.message_bytes_max
    if len(outgoing.value) > bytes_max:
        raise bad_request(
            f"Field 'Blacklist' makes a record of {len(outgoing.value)} bytes; expected at most {bytes_max}: send fewer names."
        )
    await send_all(request, [Item(outgoing)])
    return json_response({"ApplicationId": app_id, "AttributeType": attribute_type, "Attributes": names})


def _read_names(found: object) -> list[str]:
    expected = "expected a list of attribute names or patterns, one at least"
    if not isinstance(found, list) or not found:
        raise bad_request(f"Field 'Blacklist' is {'missing' if found is None else repr(found)[:80]}; {expected}.")
    for place, name in enumerate(found):
        if not isinstance(name, str) or not name:
            raise bad_request(f"Field 'Blacklist[{place}]' is {repr(name)[:80]}; expected a text that is not empty.")
    return found
