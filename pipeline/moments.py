"""Moments: now, as people give them to a command, and as Pinpoint writes them."""

import datetime as dt
from collections.abc import Callable

from schemas.errors import UsageError

# A clock that is passed in.
Now = Callable[[], dt.datetime]


def now_utc() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def parse_moment(option: str, text: str) -> dt.datetime | None:
    """A date or a moment in ISO 8601, UTC unless it says otherwise, as a moment in UTC; None for no text.

    Raises UsageError, which names the option, for anything else.
    """
    if not text:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"Option '{option}' is '{text}'; expected a moment in ISO 8601, for example 2026-11-25T14:00Z.") from None
    return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)


def format_moment(moment: dt.datetime) -> str:
    """ISO 8601 with milliseconds, as Pinpoint writes it; a moment without a zone is UTC."""
    at = moment.astimezone(dt.UTC) if moment.tzinfo else moment
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
