-- One row per day: the share of the week before's active subjects that were active again in the week that ends with the day.
-- from_date, to_date: DATE or TEXT, days of the app's zone. app: TEXT, null for all. subject: 'endpoint' or 'user'.
-- today: DATE or TEXT, the day on which is asked; null for the present one.
-- The week before is the seven days from 13 to 7 days before the day, the week the seven from 6 days before to the day itself. The days before
-- from_date that this takes are read. Pinpoint's console calls it 7-day retention; the rows of Sundays compare calendar weeks.
-- rate is null where nobody was active in the week before. is_complete: the day is over. A day that has not begun has no row.
-- Errors: a day that is none, from_date after to_date, a subject that is not named here.
create macro weekly_return(from_date, to_date, app := null, subject := 'endpoint', today := null) as table
with
days as (
    select *
    from report_periods(from_date, to_date, 'day', app, today, subject)
),

found_days as (
    select *
    from active_days(check_date(from_date, 'from_date') - 13, check_date(to_date, 'to_date'), app, subject)
),

-- A day of activity lies in the seven weeks that end with it and with the six days after it.
active_weeks as (
    select distinct app_id, subject_id, activity_date + unnest(range(7))::int as week_end
    from found_days
),

counts as (
    select
        before.week_end + 7 as day,
        count(*) as active_count,
        count(later.subject_id) as returned_count
    from active_weeks as before
    left join active_weeks as later
        on before.app_id = later.app_id
        and before.subject_id = later.subject_id
        and before.week_end + 7 = later.week_end
    group by before.week_end
)

select
    days.period_date as day,
    coalesce(counts.active_count, 0) as active_count,
    coalesce(counts.returned_count, 0) as returned_count,
    counts.returned_count / counts.active_count as rate,
    days.is_complete
from days
left join counts on days.period_date = counts.day
-- Without any activity there is nothing to compare.
where exists (from found_days)
order by days.period_date
