"""The landing stream of events: settings made into the rules of its steps."""

from urllib.parse import urlsplit

import duckdb

from agents.avro.schemas import AvroSchemas
from agents.dedup.window import MemoryBudget
from agents.dedup.windows import Windows
from agents.deduplicate import DedupRules
from agents.enrich import EnrichRules
from agents.enrichment.geo import GeoDatabase
from agents.event_steps import EventRules, EventSteps
from agents.redact import RedactRules
from agents.validate import ValidateRules
from pipeline.bare_duckdb import open_duckdb
from pipeline.config import Settings
from pipeline.schema_registry import SchemaRegistry
from schemas.errors import SettingError
from schemas.tables import load_table
from sinks.lake import LakeTable


def build_event_steps(settings: Settings, table: LakeTable, budget: MemoryBudget | None = None) -> EventSteps:
    """The steps whose rows land in `table`, and their dedup windows; `budget` is what they share with the windows of other streams.

    Raises SettingError and UsageError for settings that cannot be used.
    """
    rules, connection = build_event_rules(settings), build_connection()
    budget = budget or MemoryBudget(settings.dedup_memory_bytes_max)
    snapshot = LakeTable(table.store, load_table("dedup_keys"))
    windows = Windows(table, connection, settings.home / "spill", budget, settings.dedup_window_hours * 3600, snapshot)
    return EventSteps(rules, windows, connection)


def build_event_rules(settings: Settings) -> EventRules:
    """Settings made into the rules of the steps.

    Raises SettingError when values shall be hashed and there is no key to hash them with, or when there is no such database of places.
    """
    redact = build_redact_rules(settings)
    return EventRules(
        avro=build_avro_schemas(settings),
        redact=redact,
        validate=ValidateRules(settings.message_bytes_max, keeps_unreadable=not redact.is_on),
        deduplicate=DedupRules(settings.dedup_window_hours * 3600, settings.dedup_bytes_kept),
        enrich=EnrichRules(
            enabled=frozenset(settings.enrichments),
            promoted_attributes=settings.promoted_attributes,
            internal_endpoints=settings.internal_endpoints,
            internal_networks=settings.internal_networks,
            geo_database=GeoDatabase(settings.geo_database) if settings.geo_database and "geo" in settings.enrichments else None,
            client_address=settings.client_address,
            clock_skew_secs_min=settings.clock_skew_secs_min,
        ),
        is_dedup_on=settings.dedup_enabled,
        late_secs=settings.late_hours * 3600,
        future_secs=settings.future_secs,
    )


def build_avro_schemas(settings: Settings) -> AvroSchemas:
    """The schemas by which Avro values are read.

    Raises SettingError for a folder that holds anything but schemas, and for an address that is none.
    """
    registry, address = None, settings.avro_registry
    if address:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
            raise SettingError(
                "AVRO_REGISTRY",
                address if parts.username is None else "an address with a user in it",
                "http:// or https:// and a host, the user in AVRO_REGISTRY_USERNAME, for example http://registry:8081",
            )
        registry = SchemaRegistry(address, settings.avro_registry_username, settings.avro_registry_password.get_secret_value())
    return AvroSchemas(settings.avro_schemas, registry)


def is_redacting(settings: Settings) -> bool:
    """Whether there are names whose values must not be written."""
    return bool(settings.redact_removed or settings.redact_hashed)


def build_redact_rules(settings: Settings) -> RedactRules:
    """What is redacted, in every stream.

    Raises SettingError when values shall be hashed and there is no key to hash them with.
    """
    redact_key = settings.redact_key.get_secret_value() or settings.local_secret("redact_key")
    if settings.redact_hashed and not redact_key:
        raise SettingError(
            "REDACT_KEY", "", "a secret to hash with, since HEADWATER_REDACT_HASHED names values; or run 'headwater up', which makes one"
        )
    return RedactRules(frozenset(settings.redact_removed), frozenset(settings.redact_hashed), redact_key.encode())


def build_connection() -> duckdb.DuckDBPyConnection:
    """DuckDB for the steps: in memory, no extension looked for on the network, in the caller's thread: a batch's statements are short, and
    to hand pieces of them to other threads took a fifth more CPU than it saved."""
    connection = open_duckdb(threads=1, memory_limit="1GB")
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute("set preserve_insertion_order = true")
    return connection
