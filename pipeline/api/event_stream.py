"""An app's event stream (PutEventStream, GetEventStream, DeleteEventStream).

Every app's events are in Kafka and in the lake, whatever is put here: the names of Kinesis or Firehose are kept for those who ask for
them again, and each answer says beside them where the events really are.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.apps import app_arn
from pipeline.api.context import admit, api_of, require_app
from pipeline.api.definitions import change_definitions, parse_object, read_definitions, text_member
from pipeline.api.errors import ApiError, json_response
from pipeline.definitions.event_streams import EventStream, delete_event_stream, find_event_stream, put_event_stream
from pipeline.definitions.key import Scope
from pipeline.moments import format_moment
from pipeline.topology import RAW_EVENTS, topic_name


async def put_stream(request: Request) -> Response:
    """PutEventStream."""
    app_id = request.path_params["app_id"]
    admitted = await admit(request, Scope.MANAGE, app_id)
    await require_app(request, app_id)
    body = parse_object(admitted.body)
    destination, role, by = text_member(body, "DestinationStreamArn"), text_member(body, "RoleArn"), admitted.caller.name
    stream = await change_definitions(request, lambda connection: put_event_stream(connection, app_id, destination, role, by))
    return json_response(_describe(request, stream))


async def show_stream(request: Request) -> Response:
    """GetEventStream."""
    app_id = request.path_params["app_id"]
    await admit(request, Scope.READ, app_id)
    stream = await read_definitions(request, lambda connection: find_event_stream(connection, app_id))
    return json_response(_describe(request, _found(stream)))


async def delete_stream(request: Request) -> Response:
    """DeleteEventStream; events go on being landed."""
    app_id = request.path_params["app_id"]
    await admit(request, Scope.MANAGE, app_id)
    stream = await change_definitions(request, lambda connection: delete_event_stream(connection, app_id))
    return json_response(_describe(request, _found(stream)))


def _found(stream: EventStream | None) -> EventStream:
    if stream is None:
        raise ApiError(404, "NotFoundException", "Resource not found")
    return stream


def _describe(request: Request, stream: EventStream) -> dict[str, Any]:
    settings = api_of(request).settings
    return {
        "ApplicationId": stream.app_id,
        "DestinationStreamArn": stream.destination_stream_arn,
        "RoleArn": stream.role_arn,
        "ExternalId": app_arn(request, stream.app_id),
        "LastModifiedDate": format_moment(stream.last_modified_at),
        "LastUpdatedBy": stream.last_updated_by,
        "Headwater": {"Topic": topic_name(settings, RAW_EVENTS), "Table": f"s3://{settings.s3_bucket}/lake/events"},
    }
