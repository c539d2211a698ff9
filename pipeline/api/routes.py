"""Which path is which resource: the whole API on one screen."""

from starlette.routing import Route

from pipeline.api import (
    app_settings,
    apps,
    attributes,
    calls,
    endpoints,
    event_stream,
    events,
    export_jobs,
    firehose_delivery,
    health,
    import_jobs,
    ndjson,
    openapi,
    phone_numbers,
    snippet,
    tags,
    targets,
    users,
)

APP = "/v1/apps/{app_id}"

ROUTES = [
    # Events, as SDKs send them
    Route(f"{APP}/events", events.put_events, methods=["POST"]),
    Route("/", targets.call_target, methods=["POST"]),
    Route("/v1/firehose/{stream}", firehose_delivery.take_delivery, methods=["POST"]),
    *(Route(f"/v1/{call}", calls.take_calls, methods=["POST"]) for call in calls.KINDS),
    Route(f"{APP}/ndjson", ndjson.take_lines, methods=["POST"]),
    Route("/t.js", snippet.show_snippet, methods=["GET"]),
    # Endpoints; an id may have slashes, percent-encoded or not
    Route(f"{APP}/endpoints", endpoints.update_batch, methods=["PUT"]),
    Route(f"{APP}/endpoints/{{endpoint_id:path}}", endpoints.update_one, methods=["PUT"]),
    Route(f"{APP}/endpoints/{{endpoint_id:path}}", endpoints.show_one, methods=["GET"]),
    Route(f"{APP}/endpoints/{{endpoint_id:path}}", endpoints.delete_one, methods=["DELETE"]),
    Route(f"{APP}/users/{{user_id:path}}", users.show_endpoints, methods=["GET"]),
    Route(f"{APP}/users/{{user_id:path}}", users.delete_endpoints, methods=["DELETE"]),
    Route(f"{APP}/attributes/{{attribute_type}}", attributes.remove_names, methods=["PUT"]),
    Route("/v1/phone/number/validate", phone_numbers.validate_number, methods=["POST"]),
    # Apps
    Route("/v1/apps", apps.create_one, methods=["POST"]),
    Route("/v1/apps", apps.show_all, methods=["GET"]),
    Route(APP, apps.show_one, methods=["GET"]),
    Route(APP, apps.delete_one, methods=["DELETE"]),
    Route(f"{APP}/settings", app_settings.show_settings, methods=["GET"]),
    Route(f"{APP}/settings", app_settings.update_settings, methods=["PUT"]),
    Route(f"{APP}/eventstream", event_stream.put_stream, methods=["POST"]),
    Route(f"{APP}/eventstream", event_stream.show_stream, methods=["GET"]),
    Route(f"{APP}/eventstream", event_stream.delete_stream, methods=["DELETE"]),
    Route("/v1/tags/{arn:path}", tags.show_tags, methods=["GET"]),
    Route("/v1/tags/{arn:path}", tags.add_tags, methods=["POST"]),
    Route("/v1/tags/{arn:path}", tags.remove_tags, methods=["DELETE"]),
    # Jobs
    Route(f"{APP}/jobs/import", import_jobs.calls.create_one, methods=["POST"]),
    Route(f"{APP}/jobs/import", import_jobs.calls.show_all, methods=["GET"]),
    Route(f"{APP}/jobs/import/{{job_id}}", import_jobs.calls.show_one, methods=["GET"]),
    Route(f"{APP}/jobs/export", export_jobs.calls.create_one, methods=["POST"]),
    Route(f"{APP}/jobs/export", export_jobs.calls.show_all, methods=["GET"]),
    Route(f"{APP}/jobs/export/{{job_id}}", export_jobs.calls.show_one, methods=["GET"]),
    # Operations
    Route("/health", health.show_health, methods=["GET"]),
    Route("/ready", health.show_readiness, methods=["GET"]),
    Route("/metrics", health.show_metrics, methods=["GET"]),
    Route("/openapi.json", openapi.show_document, methods=["GET"]),
    Route("/docs", openapi.show_page, methods=["GET"]),
]
