-- One row per app_id and day whose active endpoints are more than its platforms have together, or fewer than one of them has.
-- Severity: fail
with
platforms as (
    select app_id, event_date as activity_date, platform, count(distinct endpoint_id) as endpoint_count
    from core.events
    -- What happened to an endpoint makes it not active.
    where is_activity
    group by all
),

bounds as (
    select app_id, activity_date, max(endpoint_count) as least_count, sum(endpoint_count)::bigint as most_count
    from platforms
    group by app_id, activity_date
),

days as (
    select app_id, activity_date, count(*) as endpoint_count
    from core.endpoint_days
    group by app_id, activity_date
)

select app_id, activity_date, days.endpoint_count, bounds.least_count, bounds.most_count
from days
full join bounds using (app_id, activity_date)
-- An endpoint that used two platforms counts once for the day and once for each.
where coalesce(days.endpoint_count not between bounds.least_count and bounds.most_count, true)
