-- One row per app_id and event type that came on each of fourteen days and not since: not on the last whole day, not after it.
-- Severity: warn
-- A type that comes now and then is missed by nobody.
with
days as (
    select app_id, event_type, event_date, count(*) as event_count
    from core.events
    -- Events from the future are no sign of life.
    where not is_future
    group by app_id, event_type, event_date
),

last_day as (
    select max(event_date) - 1 as whole_date from days
)

select days.app_id, days.event_type, max(days.event_date) as last_date, sum(days.event_count)::bigint as event_count_before
from days
cross join last_day
-- The two weeks before, and what came after them.
where days.event_date >= last_day.whole_date - 14
group by days.app_id, days.event_type, last_day.whole_date
-- Fourteen days end with the day before the last whole one.
having count(*) = 14 and max(days.event_date) < last_day.whole_date
