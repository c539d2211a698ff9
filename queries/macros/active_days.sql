-- One row per app_id, subject and day of the app's zone on which it was active. Clock: event_timestamp.
-- from_date, to_date: DATE, both included; null is open. app: TEXT, null for all.
-- subject: 'endpoint', or 'user': whose user_id an event names, and without one the endpoint itself.
create macro active_days(from_date := null, to_date := null, app := null, subject := 'endpoint') as table
with
quarters as (
    select
        events.app_id,
        subject_key(subject, events.endpoint_id, events.user_id) as subject_id,
        min(events.event_timestamp) as first_at
    from core.events as events
    -- What happened to an endpoint makes nobody active. No zone is two days from UTC: files of other days need not be read.
    where events.is_activity
      and (app is null or events.app_id = app)
      and (from_date is null or events.event_timestamp >= (from_date - 2)::timestamptz)
      and (to_date is null or events.event_timestamp < (to_date + 3)::timestamptz)
    -- Days begin at quarters of an hour in every zone, and zones cost too much to be asked for each event.
    group by events.app_id, subject_id, epoch_ms(events.event_timestamp) // 900000
),

days as (
    select distinct app_id, subject_id, local_date(first_at, app_zone(app_id)) as activity_date
    from quarters
)

select app_id, subject_id, activity_date
from days
-- The days of the app's zone.
where (from_date is null or activity_date >= from_date)
  and (to_date is null or activity_date <= to_date)
