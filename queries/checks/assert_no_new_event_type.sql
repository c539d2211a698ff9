-- One row per app_id and event type that came for the first time within the last seven days, in an app that is older than four weeks.
-- Severity: warn
-- A release that renames an event, or a typing error; a type that is meant to be new is no more after a week.
with
types as (
    select app_id, event_type, min(event_date) as first_date, count(*) as event_count
    from core.events
    -- A clock that is ahead makes no type old.
    where not is_future
    group by app_id, event_type
),

apps as (
    select *, min(first_date) over (partition by app_id) as app_first_date from types
),

last_day as (
    select max(event_date) as newest_date
    from core.events
    -- The newest day is one that has begun.
    where not is_future
)

select apps.app_id, apps.event_type, apps.first_date, apps.event_count
from apps
cross join last_day
-- In a young app everything is new.
where apps.first_date > last_day.newest_date - 7 and apps.app_first_date < last_day.newest_date - 28
