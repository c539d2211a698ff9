"""The local stack's keys: made at the first start, kept in HEADWATER_HOME/secrets.json for its owner alone, never printed."""

import base64
import json
import os
import secrets
import uuid
from typing import Any

from pipeline.config import Settings
from schemas.errors import UsageError


def load_keys(settings: Settings) -> dict[str, Any]:
    """The keys, made when there are none yet.

    Shape: {"s3": {"writer": {"access_key_id", "secret_access_key"}, "reader": {..}}, "redact_key": hex, "kafka_cluster_id": text}.

    Raises UsageError when the file is there and is not what this wrote.
    """
    if not settings.secrets_file.exists():
        _write_once(settings, _make_keys())
    try:
        found: dict[str, Any] = json.loads(settings.secrets_file.read_text())
        for role in ("writer", "reader"):
            _ = found["s3"][role]["access_key_id"], found["s3"][role]["secret_access_key"]
        _ = found["redact_key"], found["kafka_cluster_id"]
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            f"{settings.secrets_file} is not a file of keys that 'headwater up' made; expected JSON with s3, redact_key and kafka_cluster_id. "
            "Put the right file back; or, to lose the state of this stack, remove it with 'headwater down --delete'."
        ) from None
    return found


def _make_keys() -> dict[str, Any]:
    def key(prefix: str) -> dict[str, str]:
        return {"access_key_id": f"{prefix}{secrets.token_hex(8).upper()}", "secret_access_key": secrets.token_hex(20)}

    return {
        "s3": {"writer": key("WRITER"), "reader": key("READER")},
        "redact_key": secrets.token_hex(32),
        # Kafka's form of a UUID; the first letter is never the '-' that a command line would take for an option.
        "kafka_cluster_id": "H" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:],
    }


def _write_once(settings: Settings, keys: dict[str, Any]) -> None:
    """Whole or not at all, and never over keys that are there."""
    draft = settings.secrets_file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(keys, file, indent=2)
    try:
        os.link(draft, settings.secrets_file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
