"""The local stack's keys: made at the first start, kept in HEADWATER_HOME/secrets.json for its owner alone, never printed."""

import base64
import json
import os
import secrets
import uuid
from typing import Any

from pipeline.config import Settings
from pipeline.folder_lock import locked_folder
from schemas.errors import UsageError


def load_keys(settings: Settings) -> dict[str, Any]:
    """The keys, made when there are none yet; what a file of an older release lacks is added to it, and the rest of it stays.

    Shape: {"s3": {"writer": {"access_key_id", "secret_access_key"}, "reader": {..}}, "redact_key": hex, "kafka_cluster_id": text,
    "definitions_key": Fernet's}.

    Raises UsageError when the file is there and is not what this wrote.
    """
    if not settings.secrets_file.exists():
        _write_once(settings, _make_keys())
    found = read_keys(settings)
    return found if "definitions_key" in found else _add(settings, "definitions_key", _make_definitions_key())


def read_keys(settings: Settings) -> dict[str, Any]:
    """The keys as the file has them, of this release or an older one; nothing is written.

    Raises UsageError when it is not a file of keys.
    """
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
        "kafka_cluster_id": make_cluster_id(),
        "definitions_key": _make_definitions_key(),
    }


def _make_definitions_key() -> str:
    """A key as cryptography's Fernet makes it: 32 bytes in url-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _add(settings: Settings, name: str, key: str) -> dict[str, Any]:
    """Adds a key unless another process was first, whose key then holds: two that add at once would lose what the first encrypted."""
    file = settings.secrets_file.resolve()
    with locked_folder(file.parent):
        found = read_keys(settings)
        if name not in found:
            found[name] = key
            before = file.stat()
            draft = file.with_suffix(f".{secrets.token_hex(4)}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
                json.dump(found, written, indent=2)
                written.flush()
                os.fsync(written.fileno())
            if os.geteuid() == 0:
                os.chown(draft, before.st_uid, before.st_gid)
            draft.chmod(before.st_mode & 0o777)
            draft.replace(file)
    return found


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


def make_cluster_id() -> str:
    """An id for a new cluster: Kafka's form of a UUID, whose first letter is never the '-' that a command line would take for an option."""
    return "H" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
