"""Where files of endpoints may lie: anywhere that the store's key reaches, but never in the lake's own folder."""

import re
from pathlib import Path
from urllib.parse import unquote

from pipeline.config import Settings
from schemas.errors import UsageError

_BUCKET = re.compile(r"(?!.*\.\.)[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?")
_EXPECTED = "expected s3://bucket/prefix, its parts neither empty nor . or .., percent-encoded neither"


def check_address(settings: Settings, address: str) -> None:
    """Raises UsageError for an address inside the lake of these settings, or around it, and for one that hides where it leads."""
    if address.startswith("s3://"):
        _check_s3(settings, address)
    elif settings.s3_is_local:
        own, found = (settings.home / "s3").resolve(), Path(address).resolve()
        if found.is_relative_to(own) or own.is_relative_to(found):
            raise UsageError(f"Folder '{address}' is, or holds, the local S3 server's own ({own}); expected another folder.")


def split_s3(address: str) -> tuple[str, str]:
    """Bucket and key of an s3:// address. Raises UsageError."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    parts = key.rstrip("/").split("/") if key.rstrip("/") else []
    if (
        not address.startswith("s3://")
        or not _BUCKET.fullmatch(bucket)
        or "" in parts
        # Libraries that take it for an address would go up at %2e%2e, too.
        or any(part in {".", ".."} for part in unquote(key).split("/"))
        or not key.isprintable()
    ):
        raise UsageError(f"Address '{address[:200]}' cannot be used; {_EXPECTED}.")
    return bucket, "/".join(parts)


def _check_s3(settings: Settings, address: str) -> None:
    bucket, key = split_s3(address)
    if bucket == settings.s3_bucket and (not key or f"{key}/".startswith("lake/")):
        raise UsageError(
            f"Address '{address}' {'is' if key else 'holds'} the lake's own folder, s3://{bucket}/lake; expected another prefix, "
            f"for example s3://{bucket}/endpoints."
        )
