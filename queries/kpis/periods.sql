-- One row per app_id, period (day, week, month) and period_date, its first day, from the first to the last of which the lake knows anything.
-- Weeks begin on Monday. Clock: event_timestamp, and when messages were sent. Zone: the app's.
with
known as (
    select app_id, event_date as day
    from core.events
    -- A clock that is ahead of ours makes no calendar.
    where not is_future
    union all
    select app_id, message_date from kpis.sent_messages
),

ranges as (
    select app_id, min(day) as first_date, max(day) as last_date from known group by app_id
),

days as (
    select app_id, unnest(generate_series(first_date, last_date, interval 1 day))::date as day from ranges
)

select distinct
    days.app_id,
    kinds.period,
    date_trunc(kinds.period, days.day)::date as period_date,
    (date_trunc(kinds.period, days.day) + ('1 ' || kinds.period)::interval - interval 1 day)::date as last_date
from days
cross join (values ('day'), ('week'), ('month')) as kinds (period)
