-- One row per app_id and endpoint_id whose sessions or days do not hold exactly its activity events.
-- Severity: fail
with
activity as (
    select app_id, endpoint_id, count(*) as event_count
    from core.events
    -- Sessions and days are made of activity alone.
    where is_activity
    group by all
),

sessions as (
    select app_id, endpoint_id, sum(event_count)::bigint as event_count, count(*) as session_count
    from core.sessions
    group by all
),

days as (
    select app_id, endpoint_id, sum(event_count)::bigint as event_count, sum(session_count)::bigint as session_count
    from core.endpoint_days
    group by all
)

select
    app_id,
    endpoint_id,
    activity.event_count as events,
    sessions.event_count as events_in_sessions,
    days.event_count as events_in_days,
    sessions.session_count as sessions,
    days.session_count as sessions_in_days
from activity
full join sessions using (app_id, endpoint_id)
full join days using (app_id, endpoint_id)
-- All agree: all is well.
where activity.event_count is distinct from sessions.event_count
   or activity.event_count is distinct from days.event_count
   or sessions.session_count is distinct from days.session_count
