-- One row per app_id, user_id and day on which the user was active.
-- Whose an event is, the event itself says: of a phone that two people use on one day, each has a row.
select
    app_id,
    user_id,
    event_date as activity_date,
    min(event_timestamp) as first_event_at,
    max(event_timestamp) as last_event_at,
    count(*) as event_count,
    count(distinct endpoint_id) as endpoint_count,
    event_date = min(event_date) over (partition by app_id, user_id) as is_new
from core.events
-- What happened to an endpoint makes nobody active; without a user it is an endpoint's day and no user's.
where is_activity and coalesce(user_id, '') <> ''
group by app_id, user_id, event_date
