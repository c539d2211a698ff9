-- One row per app_id, period (day, week, month) and period_date, its first day, from the first to the last of which the lake knows anything.
-- Weeks begin on Monday. last_date: its last day. known_date: the last of its days of which the lake knows anything: what happens after it nobody has seen.
-- is_complete: its last day is over. is_cut: it begins before the first day on which anything happened that the lake knows, and may lack days of which nobody knows. Clock: event_timestamp, which of an e-mail's events is when it was sent. Zone: the app's.
with
days as (
    select app_id, began_date, last_date as newest_date, unnest(generate_series(first_date, last_date, interval 1 day))::date as day from kpis.known_days
),

periods as (
    select distinct
        days.app_id,
        days.began_date,
        days.newest_date,
        kinds.period,
        period_date(days.day, kinds.period) as period_date,
        next_period_date(days.day, kinds.period) - 1 as last_date
    from days
    cross join (values ('day'), ('week'), ('month')) as kinds (period)
)

select
    app_id,
    period,
    period_date,
    last_date,
    least(last_date, newest_date) as known_date,
    last_date < local_date(get_current_timestamp(), app_zone(app_id)) as is_complete,
    period_date < began_date as is_cut
from periods
