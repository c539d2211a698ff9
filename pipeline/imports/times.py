"""Times as archives write them, into milliseconds since 1970."""

import datetime as dt
import functools
import math
import zoneinfo
from decimal import Decimal
from typing import Any

UNITS = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001}
EXPECTED = (
    "ISO 8601 (2026-11-23T10:00:00Z), or a number with format 's', 'ms', 'us' or 'ns', or text with a strptime format ('%d.%m.%Y %H:%M')"
)
_EARLIEST, _LATEST = -2_208_988_800_000, 253_402_300_799_999  # 1900-01-01 and 9999-12-31.


def parse_time(value: Any, time_format: str | None = None, zone: str = "UTC") -> int:
    """Milliseconds since 1970, UTC.

    `time_format` is a unit for numbers (s, ms, us, ns), a strptime pattern for text, or None: ISO 8601 for text, ms for numbers.
    A time without an offset is in `zone`; where clocks were set back, the first of two moments is taken.

    Raises ValueError when the value is no such time or lies outside 1900 to 9999.
    """
    found = _parse(value, time_format, zone)
    if not _EARLIEST <= found <= _LATEST:
        raise ValueError("a time between the years 1900 and 9999; is the unit right? format 's', 'ms', 'us' and 'ns' set it")
    return found


def _parse(value: Any, time_format: str | None, zone: str) -> int:
    if isinstance(value, dt.datetime):
        return _milliseconds(value, zone)
    if isinstance(value, dt.date):
        return _milliseconds(dt.datetime(value.year, value.month, value.day), zone)
    if time_format in UNITS or (time_format is None and isinstance(value, (int, float)) and not isinstance(value, bool)):
        number = Decimal(str(value).strip()) if _is_number(value) else None
        if number is None:
            raise ValueError(f"a number of {time_format or 'ms'} since 1970")
        return math.floor(number * Decimal(str(UNITS[time_format or "ms"])))
    if isinstance(value, str):
        return _parse_text(value.strip(), time_format, zone)
    raise ValueError(EXPECTED)


@functools.lru_cache(maxsize=65536)
def _parse_text(text: str, time_format: str | None, zone: str) -> int:
    if time_format is not None:
        try:
            return _milliseconds(dt.datetime.strptime(text, time_format), zone)
        except ValueError:
            raise ValueError(f"a time in the format '{time_format}'") from None
    try:
        return _milliseconds(dt.datetime.fromisoformat(text), zone)
    except ValueError:
        raise ValueError(EXPECTED) from None


def _milliseconds(moment: dt.datetime, zone: str) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC if zone == "UTC" else zoneinfo.ZoneInfo(zone))
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
