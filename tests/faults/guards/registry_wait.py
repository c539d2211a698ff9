"""Records wait for a schema registry that does not answer. Without this guard it is taken for one that has no such schema."""

from unittest import mock

import pipeline.event_stream
from agents.avro.writer_schema import SchemaError, WriterSchema
from pipeline.schema_registry import SchemaRegistry
from schemas.errors import UnavailableError


class ShruggingRegistry(SchemaRegistry):
    """What does not answer has nothing."""

    def find(self, schema_id: int) -> WriterSchema:
        try:
            return super().find(schema_id)
        except UnavailableError as error:
            raise SchemaError(str(error)) from None


def remove() -> None:
    mock.patch.object(pipeline.event_stream, "SchemaRegistry", ShruggingRegistry).start()
