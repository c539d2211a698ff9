"""Settings: each known and readable, and none that takes back what another says."""

from collections.abc import Iterator

from pipeline.config import PREFIX, Settings
from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, from_error, ok, warning
from pipeline.event_stream import build_event_rules
from pipeline.stack.keys import read_keys
from pipeline.stores import build_ssl_context, build_store, sasl_login
from pipeline.topics import MESSAGE_BYTES_MAX
from schemas.errors import HeadwaterError

# The store's own time limits let one upload take about so long; a flush waits for the one before it.
UPLOAD_SECS_MIN = 60
# A worker that is away for longer than Kafka keeps records loses them: a night and a day, at the least.
RETENTION_HOURS_MIN = 24


def check_names_and_values(case: Case) -> Iterator[Finding]:
    """Unknown names, and values that cannot be used."""
    for variable, error in case.wrong.items():
        if variable.removeprefix(PREFIX).lower() in Settings.model_fields:
            yield from_error(variable, error)
        else:
            found, _, hint = str(error).partition("; ")
            yield broken(variable, found, "a known name", f"{hint.partition('?')[0]}? Or unset it" if "?" in hint else f"unset {variable}")
    if not case.wrong:
        count = len(case.settings.model_fields_set)
        yield ok("settings", f"{len(Settings.model_fields)} known, {count or 'none'} of them set; all can be read")


def check_agreement(case: Case) -> Iterator[Finding]:
    """Combinations that contradict each other."""
    found = [*_check_bytes(case.settings), *_check_times(case.settings), *_check_security(case.settings), *_check_parts(case.settings)]
    yield from found or [ok("settings together", "none takes back what another says")]


def check_keys(case: Case) -> Iterator[Finding]:
    """The file of keys that `headwater up` made."""
    file = case.settings.secrets_file
    if not file.exists():
        yield ok("keys of the stack", f"none yet; 'headwater up' makes {file}")
        return
    read_keys(case.settings)
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        yield warning("keys of the stack", f"{file} may be read by others (mode {mode:o})", "mode 600", f"chmod 600 {file}")
    else:
        yield ok("keys of the stack", f"{file}, for its owner alone")


def _check_bytes(settings: Settings) -> Iterator[Finding]:
    if settings.flush_bytes_max > settings.inflight_bytes_max:
        yield broken(
            "HEADWATER_FLUSH_BYTES_MAX",
            f"{settings.flush_bytes_max:,}, more than HEADWATER_INFLIGHT_BYTES_MAX ({settings.inflight_bytes_max:,}): consuming pauses before a "
            "flush is full, and waits for its age each time",
            "HEADWATER_INFLIGHT_BYTES_MAX of 1.5 times HEADWATER_FLUSH_BYTES_MAX: one flush is written while the next ones come in",
            f"set HEADWATER_INFLIGHT_BYTES_MAX={3 * settings.flush_bytes_max // 2}, or a smaller HEADWATER_FLUSH_BYTES_MAX",
        )
    if settings.message_bytes_max > MESSAGE_BYTES_MAX:
        yield warning(
            "HEADWATER_MESSAGE_BYTES_MAX",
            f"{settings.message_bytes_max:,}, more than Kafka takes into our topics",
            f"at most {MESSAGE_BYTES_MAX:,} (max.message.bytes)",
            f"set HEADWATER_MESSAGE_BYTES_MAX={MESSAGE_BYTES_MAX} or less",
        )


def _check_times(settings: Settings) -> Iterator[Finding]:
    upload_secs_min = max(UPLOAD_SECS_MIN, 2 * settings.flush_secs_max)
    if settings.upload_secs_max < upload_secs_min:
        yield broken(
            "HEADWATER_UPLOAD_SECS_MAX",
            f"{settings.upload_secs_max:g} s, while flushes are {settings.flush_secs_max:g} s apart (HEADWATER_FLUSH_SECS_MAX): with a slow store "
            "files are too old when their commit comes, and are read and uploaded again without end",
            f"{upload_secs_min:g} s or more",
            "unset HEADWATER_UPLOAD_SECS_MAX (600 s), or raise it",
        )
    if settings.topic_retention_hours < RETENTION_HOURS_MIN:
        yield warning(
            "HEADWATER_TOPIC_RETENTION_HOURS",
            f"{settings.topic_retention_hours:g} h: what a worker that is away for longer has not read is gone",
            f"{RETENTION_HOURS_MIN} h or more",
            "unset HEADWATER_TOPIC_RETENTION_HOURS (168 h), or raise it",
        )


def _check_security(settings: Settings) -> Iterator[Finding]:
    protocol = settings.kafka_security_protocol
    names = {"SASL": ("username", "password"), "SSL": ("ca_file", "cert_file", "key_file")}
    for part, fields in names.items():
        given = [f"HEADWATER_KAFKA_SECURITY_{name.upper()}" for name in fields if f"kafka_security_{name}" in settings.model_fields_set]
        if given and part not in protocol.replace("SASL_PLAINTEXT", "SASL").split("_"):
            yield broken(
                "HEADWATER_KAFKA_SECURITY_PROTOCOL",
                f"{protocol}, which uses none of {', '.join(given)}",
                f"a protocol with {part}",
                f"set HEADWATER_KAFKA_SECURITY_PROTOCOL, for example SASL_SSL, or unset {', '.join(given)}",
            )
    if protocol == "SASL_PLAINTEXT" and settings.kafka_security_mechanism == "PLAIN":
        yield warning(
            "HEADWATER_KAFKA_SECURITY_MECHANISM",
            "PLAIN without TLS: the password goes over the network as it is",
            "SCRAM, or TLS",
            "set HEADWATER_KAFKA_SECURITY_PROTOCOL=SASL_SSL, or HEADWATER_KAFKA_SECURITY_MECHANISM=SCRAM-SHA-512, as the brokers have it",
        )


def _check_parts(settings: Settings) -> Iterator[Finding]:
    """What the parts of a worker refuse to be built with."""
    for build in (build_ssl_context, sasl_login, build_store, build_event_rules):
        try:
            build(settings)
        except HeadwaterError as error:
            yield from_error("settings together", error)
        except ValueError:
            # The file of keys is no JSON, which has a line of its own.
            continue
