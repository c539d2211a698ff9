"""What alembic runs to migrate: on the connection, and in the transaction, that pipeline/definitions/migrate.py gives it."""

from alembic import context

from pipeline.definitions.migrate import VERSION_TABLE
from pipeline.definitions.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE)
context.run_migrations()
