"""What schemathesis must know of our media types; read by its command as SCHEMATHESIS_HOOKS."""

import json
from typing import Any

import schemathesis

schemathesis.serializer.alias("application/x-amz-json-1.1", "application/json")
schemathesis.serializer.alias("application/x-ndjson", "text/plain")


@schemathesis.deserializer("application/x-amz-json-1.1")
def read_json(_: Any, response: Any) -> Any:
    return json.loads(response.content)
