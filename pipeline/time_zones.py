"""The time zones that there are: those that DuckDB knows, which tells days and hours by them."""

import datetime as dt
import difflib
import functools


def check_zone(name: str) -> str:
    """The name of a zone. Raises ValueError, which names the nearest, for one that does not exist."""
    if name != "UTC" and name not in _zones():
        near = difflib.get_close_matches(name, sorted(_zones()), 1, cutoff=0.5)
        hint = f", did you mean {near[0]}?" if near else ""
        raise ValueError(f"'{name}' is no IANA time zone{hint}")
    return name


def local_day(moment: dt.datetime, zone: str) -> dt.date:
    """The day that a clock of the zone shows at a moment, as the macro local_date tells it."""
    from pipeline.bare_duckdb import open_duckdb

    with open_duckdb() as con:
        con.execute("set TimeZone = 'UTC'")
        found = con.execute("select ($1::timestamptz at time zone $2)::date", [moment, zone]).fetchone()
    assert found is not None
    day: dt.date = found[0]
    return day


@functools.cache
def _zones() -> frozenset[str]:
    from pipeline.bare_duckdb import open_duckdb  # Most commands never need it.

    with open_duckdb() as con:
        return frozenset(name for (name,) in con.execute("select name from pg_timezone_names()").fetchall())
