"""What ids, names and tags may be; each check raises UsageError with the value found and what was expected."""

import re
from collections.abc import Mapping

from schemas.errors import UsageError

TAGS_MAX = 50
_APP_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ACCESS_KEY_ID = re.compile(r"[A-Za-z0-9_]{16,128}")
_POOL_ID = re.compile(r"[a-z]{2}(-[a-z0-9]+)+:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What neither a terminal nor PostgreSQL takes: control characters, halves of surrogate pairs.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def check_app_id(app_id: str) -> None:
    if not _APP_ID.fullmatch(app_id):
        raise UsageError(f"App id {shown(app_id)} cannot be used; expected 1 to 64 of A-Z, a-z, 0-9, '_' and '-', for example shop-1.")


def check_access_key_id(access_key_id: str) -> None:
    """AWS's own rule for an AccessKeyId: 16 to 128 word characters."""
    if not _ACCESS_KEY_ID.fullmatch(access_key_id):
        raise UsageError(
            f"Access key id {shown(access_key_id)} cannot be used; expected 16 to 128 of A-Z, a-z, 0-9 and '_', for example AKIAIOSFODNN7EXAMPLE."
        )


def check_pool_id(pool_id: str) -> None:
    """Cognito's form: a region and a UUID in lower case."""
    if not _POOL_ID.fullmatch(pool_id):
        raise UsageError(
            f"Guest pool {shown(pool_id)} cannot be used; expected a region and a UUID in lower case, for example "
            "us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0."
        )


def check_text(what: str, text: str, least: int, most: int) -> None:
    """Any text of `least` to `most` characters without control characters."""
    if not least <= len(text) <= most:
        raise UsageError(f"{what} {shown(text)} has {len(text)} characters; expected {least} to {most}.")
    if _UNFIT.search(text):
        raise UsageError(f"{what} {shown(text)} has a control character or half a character; expected text that can be shown.")


def check_tags(tags: Mapping[str, str]) -> None:
    """The rule of AWS's tags: names of 1 to 128 characters, values of at most 256."""
    for name, value in tags.items():
        check_text("Tag name", name, 1, 128)
        check_text(f"The value of tag '{name}'", value, 0, 256)


def shown(text: str) -> str:
    """A value for an error: quoted, escaped, cut."""
    return ascii(text) if len(text) <= 140 else f"{text[:140]!a}..."
