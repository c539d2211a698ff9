-- One row per day: who was active on it, in the 7 days and in the 30 days that end with it, and how the three compare.
-- from_date, to_date: DATE or TEXT, days of the app's zone. app: TEXT, null for all. subject: 'endpoint' or 'user'.
-- today: DATE or TEXT, the day on which is asked; null for the present one.
-- Of endpoints, day_count is Pinpoint's daily active ones, month_count its monthly ones, day_per_month its sticky factor. With 'user' an endpoint that names no user is a
-- subject of its own (queries/README.md), and Pinpoint's active users, which are named ones alone, are fewer.
-- The 29 days before from_date are read. A ratio is null where it would divide by nobody. is_complete: the day is over. A day that has not begun
-- has no row. Errors: a day that is none, from_date after to_date, a subject that is not named here.
create macro stickiness(from_date, to_date, app := null, subject := 'endpoint', today := null) as table
with
arguments as materialized (
    select check_range(from_date, to_date) is not null as is_checked
),

days as (
    select report_days.*
    from report_periods(check_date(from_date, 'from_date') - 29, to_date, 'day', app, today, subject) as report_days
    cross join arguments
    -- False never: an argument that is wrong has raised its error, also when there is no event.
    where arguments.is_checked
),

found_days as (
    select *
    from active_days(check_date(from_date, 'from_date') - 29, check_date(to_date, 'to_date'), app, subject)
),

spells as (
    select
        activity_date,
        lead(activity_date, 1, date '9999-12-31') over (partition by app_id, subject_id order by activity_date) as next_date
    from found_days
),

-- With a day of activity a subject enters all three windows; it leaves each so many days later, or enters it again by then.
changes as (
    select activity_date as day, 1 as day_change, 1 as week_change, 1 as month_change from spells
    union all
    select activity_date + 1, -1, 0, 0 from spells
    union all
    select least(next_date, activity_date + 7), 0, -1, 0 from spells
    union all
    select least(next_date, activity_date + 30), 0, 0, -1 from spells
),

day_changes as (
    select
        day,
        sum(day_change) as day_change,
        sum(week_change) as week_change,
        sum(month_change) as month_change
    from changes
    group by day
),

counts as (
    select
        days.period_date as day,
        coalesce(sum(day_changes.day_change) over so_far, 0)::bigint as day_count,
        coalesce(sum(day_changes.week_change) over so_far, 0)::bigint as week_count,
        coalesce(sum(day_changes.month_change) over so_far, 0)::bigint as month_count,
        days.is_complete
    from days
    left join day_changes on days.period_date = day_changes.day
    window so_far as (order by days.period_date)
)

select
    day,
    day_count,
    week_count,
    month_count,
    day_count / nullif(month_count, 0) as day_per_month,
    day_count / nullif(week_count, 0) as day_per_week,
    week_count / nullif(month_count, 0) as week_per_month,
    is_complete
from counts
-- The days before were read for their activity alone; without any activity there is nothing to compare.
where day >= check_date(from_date, 'from_date')
  and exists (from found_days)
order by day
