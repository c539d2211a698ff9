"""The lake that answers are measured on: a simulated month, landed by the steps of a worker, as many times over as it takes."""

from datetime import date
from pathlib import Path

import duckdb

from pipeline.config import Settings
from pipeline.simulate.plan import Plan
from schemas.tables import load_table
from tests.folder_lake import append_rows
from tests.simulated import messages_of
from tests.simulated_lake import Landed, land_messages

FIRST, LAST = date(2026, 10, 1), date(2026, 10, 30)
# Of one simulated person, in thirty days.
EVENTS_A_USER = 95
SIMULATED_MAX = 500_000

# One day's file of all copies: other people, their own records; campaigns and products are the same for all.
_DAY = """
    select base.* replace (
        event_id || '-' || copy as event_id,
        case when coalesce(endpoint_id, '') <> '' then endpoint_id || '-' || copy else endpoint_id end as endpoint_id,
        case when coalesce(user_id, '') <> '' then user_id || '-' || copy else user_id end as user_id,
        case when coalesce(message_id, '') <> '' then message_id || '-' || copy else message_id end as message_id,
        copy::integer as _partition
    )
    from base
    cross join range($copies) as copies (copy)
    where arrival_date = $day
    order by app_id, event_timestamp
"""
_STATES = """
    select
        'endpoint' as kind, app_id, lower(endpoint_id) as endpoint_key, endpoint_id, 'ACTIVE' as endpoint_status, max(platform) as platform,
        max(country) as country, max(user_id) as user_id, min(_appended_at) as first_appended_at, max(_appended_at) as _appended_at
    from base
    where coalesce(endpoint_id, '') <> ''
    group by app_id, endpoint_id
"""


def write_answer_lake(folder: Path, settings: Settings, count: int) -> int:
    """Write tables of at least `count` events to `folder`, a file a day as after compaction; returns how many there are."""
    landed = _simulate(folder / "simulated", settings, min(count, SIMULATED_MAX))
    simulated: int = landed.events.num_rows
    copies = -(-count // simulated)
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("base", landed.events)
        days = con.execute("select distinct arrival_date from base order by 1").fetchall()
        for (day,) in days:
            rows = con.execute(_DAY, {"copies": copies, "day": day}).to_arrow_table()
            append_rows(folder, "events", rows.cast(load_table("events").arrow))
        append_rows(folder, "endpoint_states", con.execute(_of_all_copies(copies)).to_arrow_table())
    append_rows(folder, "dead_letters", landed.dead_letters)
    return copies * simulated


def _of_all_copies(copies: int) -> str:
    return f"""
        select states.* replace (
            endpoint_key || '-' || copy as endpoint_key, endpoint_id || '-' || copy as endpoint_id, user_id || '-' || copy as user_id
        )
        from ({_STATES}) as states cross join range({copies}) as copies (copy)
    """


def _simulate(folder: Path, settings: Settings, count: int) -> Landed:
    plan = Plan(users=max(count // EVENTS_A_USER, 10), days=(LAST - FIRST).days + 1, start=FIRST, seed=1)
    return land_messages(messages_of(plan), settings, folder)
