-- One row per app_id and endpoint of which events name a user: the one whom they named last. Clock: event_timestamp.
-- app VARCHAR := null: one app; null is all. last_date DATE := null: what is named more than two days after it is not known yet; null is open.
-- It says whose an endpoint is where an event names nobody: a message knows an address, a purchase before the login a phone.
create macro endpoint_users(app := null, last_date := null) as table
select
    events.app_id,
    events.endpoint_id,
    arg_max(events.user_id, events.event_timestamp) as user_id
from core.events as events
where coalesce(events.user_id, '') <> ''
    -- An event without an endpoint is nobody's.
    and coalesce(events.endpoint_id, '') <> ''
    and (app is null or events.app_id = app)
    -- No zone is two days from UTC: files of later days need not be read.
    and (last_date is null or events.event_timestamp < (last_date + 3)::timestamptz)
group by events.app_id, events.endpoint_id
