"""Calls of macros over a few rows, for tests."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from pipeline.config import Settings, load_settings
from tests.lake_rows import Row, event, memory_lake


def ask(sql: str, events: Sequence[Row] = (), settings: Settings | None = None) -> list[tuple[Any, ...]]:
    """The rows of a query over these events."""
    with memory_lake(settings or load_settings(), events) as con:
        return con.execute(sql).fetchall()


def utc(text: str) -> datetime:
    """A moment of UTC: 2026-11-23 is its midnight, 2026-11-23T12:00 its noon."""
    return datetime.fromisoformat(f"{text}+00:00" if "T" in text else f"{text}T00:00+00:00")


def on(endpoint_id: str, *moments: str, **given: Any) -> list[dict[str, Any]]:
    """An event of an endpoint at each of these moments of UTC."""
    return [event(endpoint_id=endpoint_id, event_timestamp=utc(moment), **given) for moment in moments]


def nov(day: int) -> date:
    """A day of November 2026; the 1st is a Sunday, the 2nd a Monday."""
    return date(2026, 11, day)
