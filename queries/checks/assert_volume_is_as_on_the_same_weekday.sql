-- One row per app_id whose events of the last whole day are far from what the same weekday had in the four weeks before.
-- Severity: warn
-- The last whole day is the one before the newest event, whatever app that is of: an app that fell silent is found, a lake that did is stale.
-- Far is less than half or more than twice the median, and by more than 100 events.
with
days as (
    select app_id, event_date, count(*) as event_count
    from core.events
    -- Events from the future say nothing about a day.
    where not is_future
    group by app_id, event_date
),

last_day as (
    select max(event_date) - 1 as whole_date from days
),

weeks as (
    select apps.app_id, last_day.whole_date, weeks_back, coalesce(days.event_count, 0) as event_count
    from (select app_id, min(event_date) as first_date from days group by app_id) as apps
    cross join last_day
    cross join (values (0), (1), (2), (3), (4)) as weeks (weeks_back)
    left join days on days.app_id = apps.app_id and days.event_date = last_day.whole_date - weeks_back::integer * 7
    -- An app is judged once it has all four weeks.
    where apps.first_date <= last_day.whole_date - 28
),

compared as (
    select
        app_id,
        whole_date,
        any_value(event_count) filter (weeks_back = 0) as event_count,
        median(event_count) filter (weeks_back > 0) as expected_count
    from weeks
    group by app_id, whole_date
)

select app_id, whole_date, event_count, expected_count
from compared
-- Small numbers scatter by themselves.
where abs(event_count - expected_count) > 100 and (event_count < expected_count / 2 or event_count > expected_count * 2)
