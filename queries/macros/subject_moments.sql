-- One row per app_id, subject and quarter of an hour in which it did something: the first and the last time, and the day of the app's zone.
-- Clock: occurred_at. event: TEXT, a step such as 'purchase[category=shoes]'; null: all activity (queries/README.md says what that is).
-- from_date, to_date: DATE, both included; null is open. app: TEXT, null for all. subject: 'endpoint', or 'user': whose user_id the event names, and without one the endpoint itself.
create macro subject_moments(event := null, app := null, subject := 'endpoint', from_date := null, to_date := null) as table
with
arguments as materialized (
    select case when event is not null then parse_step(event) end as wanted
),

quarters as (
    select
        events.app_id,
        subject_key(subject, events.endpoint_id, events.user_id) as subject_id,
        min(events.occurred_at) as first_at,
        max(events.occurred_at) as last_at
    from core.events as events
    cross join arguments
    -- An event without an endpoint is nobody's.
    where coalesce(events.endpoint_id, '') <> ''
      and (app is null or events.app_id = app)
      and case
          when event is null then events.is_activity
          else events.event_type = arguments.wanted.event_type and event_matches(events.event_type, events.attributes, events.metrics, arguments.wanted)
      end
      -- No zone is two days from UTC.
      and (from_date is null or events.occurred_at >= (from_date - 2)::timestamptz)
      and (to_date is null or events.occurred_at < (to_date + 3)::timestamptz)
    -- Days begin at quarters of an hour in every zone, and zones cost too much to be asked for each event.
    group by events.app_id, subject_id, epoch_ms(events.occurred_at) // 900000
),

moments as (
    select app_id, subject_id, first_at, last_at, local_date(first_at, app_zone(app_id)) as moment_date
    from quarters
)

select app_id, subject_id, first_at, last_at, moment_date
from moments
-- The days of the app's zone.
where (from_date is null or moment_date >= from_date)
  and (to_date is null or moment_date <= to_date)
