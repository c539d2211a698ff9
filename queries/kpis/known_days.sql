-- One row per app_id: the first and the last day of which the lake knows anything, the ends of the calendar of charts.
-- Clock: event_timestamp, which of an e-mail's events is when it was sent. Zone: the app's.
-- began_date is the day of the first event by the moment when it happened: an old mail that is opened late is no sign that the lake knows the days of its sending.
with
moments as (
    select app_id, min(event_timestamp) as first_at, max(event_timestamp) as last_at, min(occurred_at) as began_at
    from core.events
    -- A clock that is ahead of ours, or was never set, makes no calendar; archives that people import may be older than SDKs.
    where not is_future
      and event_timestamp < _appended_at + interval 1 day
      and (event_timestamp >= timestamptz '2015-01-01 00:00:00+00' or coalesce(source, '') like 'import:%')
    group by app_id
)

select
    app_id,
    local_date(first_at, app_zone(app_id)) as first_date,
    local_date(last_at, app_zone(app_id)) as last_date,
    local_date(began_at, app_zone(app_id)) as began_date
from moments
