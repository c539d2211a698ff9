-- One row per app_id and day whose activity differs from what lies between the midnights of the app's zone.
-- Severity: fail
-- A day is as long as the zone says: 23 hours when clocks go forward, 25 when they go back. All zones turn their clocks by quarters of an hour.
with
quarters as (
    select
        app_id,
        to_timestamp(epoch_ms(event_timestamp) // 900000 * 900) as quarter_at,
        count(*) as event_count
    from core.events
    -- Days of endpoints are made of activity alone.
    where is_activity
    group by all
),

days as (
    select app_id, activity_date, sum(event_count)::bigint as event_count
    from core.endpoint_days
    group by app_id, activity_date
),

midnights as (
    select
        *,
        activity_date::timestamp at time zone app_zone(app_id) as began_at,
        (activity_date + 1)::timestamp at time zone app_zone(app_id) as ended_at
    from days
),

counted as (
    select midnights.app_id, midnights.activity_date, sum(quarters.event_count)::bigint as event_count
    from midnights
    inner join quarters
        on quarters.app_id = midnights.app_id and quarters.quarter_at >= midnights.began_at and quarters.quarter_at < midnights.ended_at
    group by all
)

select
    midnights.app_id,
    midnights.activity_date,
    (epoch(midnights.ended_at) - epoch(midnights.began_at)) / 3600 as hours,
    midnights.event_count as events_of_day,
    counted.event_count as events_between_midnights
from midnights
left join counted using (app_id, activity_date)
-- The same events, counted by their day and by the day's borders.
where counted.event_count is distinct from midnights.event_count
