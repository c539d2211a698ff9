-- One row when no event was appended for longer than CHECK_FRESH_HOURS.
-- Severity: warn
with
newest as (
    select max(_appended_at) as last_appended_at from staging.events
)

select
    newest.last_appended_at,
    round((epoch(get_current_timestamp()) - epoch(newest.last_appended_at)) / 3600, 1) as age_hours,
    settings.check_fresh_hours as age_hours_max
from newest
cross join settings
-- A lake without events is empty, not stale.
where epoch(get_current_timestamp()) - epoch(newest.last_appended_at) > settings.check_fresh_hours * 3600
