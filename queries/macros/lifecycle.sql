-- One row per period: how many subjects were new in it, returned, came back after a pause, or went dormant.
-- from_date, to_date: DATE or TEXT, days of the app's zone. The first period is the whole one in which from_date lies; nothing after to_date counts.
-- app: TEXT, null for all. period: 'day', 'week' (from Monday) or 'month', of the calendar. subject: 'endpoint' or 'user'.
-- today: DATE or TEXT, the day on which is asked; null for the present one.
-- new: active for the first time ever. returning: active in the period before too. resurrected: active before, not in the period before.
-- dormant: active in the period before, not in this one. active_count = new + returning + resurrected, and of two periods in a row
-- active_count of the first = returning + dormant of the second.
-- is_complete: the period is not cut by to_date and is over; until then it has more dormant ones than it will have in the end.
-- Errors: a day that is none, from_date after to_date, a period or subject that is not named here.
create macro lifecycle(from_date, to_date, app := null, period := 'week', subject := 'endpoint', today := null) as table
with
periods as (
    select *
    from report_periods(from_date, to_date, period, app, today, subject)
),

active_periods as (
    select distinct app_id, subject_id, period_date(activity_date, period) as period_date
    -- Who is new is known from all that came before; what comes after is not known yet.
    from active_days(null, check_date(to_date, 'to_date'), app, subject)
),

neighbours as (
    select
        period_date,
        next_period_date(period_date, period) as following_date,
        lag(next_period_date(period_date, period)) over subject_periods as after_last_date,
        lead(period_date) over subject_periods as next_date
    from active_periods
    window subject_periods as (partition by app_id, subject_id order by period_date)
),

states as (
    select
        period_date,
        case
            when after_last_date is null then 'new'
            when after_last_date = period_date then 'returning'
            else 'resurrected'
        end as state
    from neighbours
    union all
    select following_date, 'dormant'
    from neighbours
    -- Active again in the following period is not dormant in it.
    where next_date is distinct from following_date
)

select
    periods.period_date,
    count(states.state) filter (where states.state <> 'dormant') as active_count,
    count(states.state) filter (where states.state = 'new') as new_count,
    count(states.state) filter (where states.state = 'returning') as returning_count,
    count(states.state) filter (where states.state = 'resurrected') as resurrected_count,
    count(states.state) filter (where states.state = 'dormant') as dormant_count,
    periods.is_complete
from periods
left join states using (period_date)
-- Without any activity there is nothing to tell.
where exists (from active_periods)
group by all
order by periods.period_date
