"""The tables that travel between the steps of `ingest`: records as consumed, parsed records, dead letters to be."""

from enum import StrEnum

import pyarrow as pa

from schemas.tables import load_table

_TIME = pa.timestamp("us", tz="UTC")

_POSITION = [
    pa.field("_topic_id", pa.string(), nullable=False),
    pa.field("_partition", pa.int32(), nullable=False),
    pa.field("_offset", pa.int64(), nullable=False),
    pa.field("_appended_at", _TIME, nullable=False),
    pa.field("_payload_hash", pa.int64(), nullable=False),
]

# One row per Kafka record, ordered by partition and offset. `value_bytes` is the size as received; `origin` is the header of
# a replayed dead letter (topic id/partition/offset of the record that it came from), null otherwise.
RECORDS = pa.schema(
    [
        pa.field("value", pa.binary()),
        pa.field("value_bytes", pa.int64(), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("origin", pa.string()),
        *_POSITION,
    ]
)

# One row per record that is a valid event, in the records' order; names are flattened, values are as sent.
# `_row` is the row in RECORDS.
PARSED = pa.schema(
    [
        pa.field("_row", pa.int32(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("event_timestamp", _TIME, nullable=False),
        pa.field("arrival_timestamp", _TIME),
        pa.field("event_version", pa.string()),
        pa.field("app_id", pa.string(), nullable=False),
        pa.field("app_cognito_identity_pool_id", pa.string()),
        pa.field("app_package_name", pa.string()),
        pa.field("app_title", pa.string()),
        pa.field("app_version_name", pa.string()),
        pa.field("app_version_code", pa.string()),
        pa.field("sdk_name", pa.string()),
        pa.field("sdk_version", pa.string()),
        pa.field("endpoint_id", pa.string()),
        pa.field("cognito_id", pa.string()),
        pa.field("locale_code", pa.string()),
        pa.field("locale_country", pa.string()),
        pa.field("locale_language", pa.string()),
        pa.field("make", pa.string()),
        pa.field("model", pa.string()),
        pa.field("platform", pa.string()),
        pa.field("platform_version", pa.string()),
        pa.field("session_id", pa.string()),
        pa.field("session_start_timestamp", _TIME),
        pa.field("session_stop_timestamp", _TIME),
        pa.field("attributes", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("metrics", pa.map_(pa.string(), pa.float64()), nullable=False),
        pa.field("endpoint", pa.string()),
        pa.field("legacy_identifier", pa.string()),
        pa.field("aws_account_id", pa.string()),
        pa.field("facets", pa.string()),
        pa.field("client_ip", pa.string()),
        pa.field("user_agent", pa.string()),
        pa.field("sent_at", _TIME),
        pa.field("received_at", _TIME),
        pa.field("source", pa.string()),
        pa.field("extra", pa.string()),
        *_POSITION,
    ]
)

# One row per record that is not an event: the table dead_letters less what is the same for the whole flush.
DEAD = pa.schema([field for field in load_table("dead_letters").arrow if field.name not in {"topic", "arrival_date"}])


class Reason(StrEnum):
    """Why a record did not become an event. The list is short on purpose: it is a metric's label and what people filter by."""

    EMPTY = "empty"  # no value, or one of no bytes
    TOO_LARGE = "too_large"  # over message_bytes_max; bytes not kept, but of Avro whose JSON would be
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"  # syntax; more or less than one value; NaN; lone surrogates; control characters; a byte order mark
    TOO_DEEP = "too_deep"  # nested deeper than 64
    DUPLICATE_KEY = "duplicate_key"  # a name twice in one object: parsers disagree which one counts
    NUMBER_OUT_OF_RANGE = "number_out_of_range"  # beyond what a 64-bit float holds
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_SCHEMA = "unknown_schema"  # Avro under a fingerprint or an id whose schema is not known, or cannot be used
    NOT_AVRO = "not_avro"  # begins like Avro, and is no datum of the schema that it names
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_TIMESTAMP = "bad_timestamp"
    DUPLICATE = "duplicate"  # the same event, landed before, within the dedup window
