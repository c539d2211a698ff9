-- One row per cohort and period from the cohort's own on: how many of those who started came back.
-- from_date, to_date: DATE or TEXT, days of the app's zone. The first cohort is that of the whole period in which from_date lies; nothing after to_date counts.
-- app: TEXT, null for all. period: 'day', 'week' (from Monday) or 'month', of the calendar.
-- start_event, return_event: TEXT, a step such as 'purchase[category=shoes]'; null is any activity.
-- kind: 'first_time', a subject is in the cohort of its first start ever; 'recurring', in that of each period in which it started.
-- subject: 'endpoint' or 'user'. today: DATE or TEXT, the day on which is asked; null for the present one.
-- A return in the cohort's own period (period_no 0) counts from the moment of the start on, which may be the return itself.
-- is_complete: the returns' period is not cut by to_date and is over. A period that has not begun has no row, nor has a cohort of nobody.
-- Errors: a day that is none, from_date after to_date, a step that cannot be read or names an attribute or metric that no such event has (check_names), a period,
-- kind or subject that is not named here.
create macro retention(
    from_date,
    to_date,
    app := null,
    period := 'day',
    start_event := null,
    return_event := null,
    kind := 'first_time',
    subject := 'endpoint',
    today := null
) as table
with
arguments as materialized (
    select
        check_choice(kind, 'kind', ['first_time', 'recurring']) is not null
        and (start_event is null or parse_step(start_event) is not null)
        and (return_event is null or parse_step(return_event) is not null) as is_checked
),

periods as (
    select report_periods.*
    from report_periods(from_date, to_date, period, app, today, subject) as report_periods
    cross join arguments
    -- False never: an argument that is wrong has raised its error, also when there is no event.
    where arguments.is_checked
),

starts as (
    select
        app_id,
        subject_id,
        period_date(moment_date, period) as cohort_date,
        min(first_at) as first_at
    from subject_moments(
        start_event,
        app,
        subject,
        -- The first time is the first one ever, so earlier periods are read as well.
        from_date := case when kind = 'recurring' then period_date(check_date(from_date, 'from_date'), period) end,
        to_date := check_date(to_date, 'to_date')
    )
    group by all
),

returns as (
    select
        app_id,
        subject_id,
        period_date(moment_date, period) as return_date,
        max(last_at) as last_at
    from subject_moments(
        return_event,
        app,
        subject,
        from_date := period_date(check_date(from_date, 'from_date'), period),
        to_date := check_date(to_date, 'to_date')
    )
    group by all
),

-- What steps name that nobody did: misspelt, or just not there yet.
names as (
    select unnest(names_asked('start_event', start_event)) as name
    where not exists (from starts)
    union all
    select unnest(names_asked('return_event', return_event))
    where not exists (from returns)
),

cohorts as (
    select *
    from starts
    -- Of first times the first one ever alone.
    qualify kind = 'recurring' or cohort_date = min(cohort_date) over (partition by app_id, subject_id)
),

cohort_sizes as (
    select cohort_date, count(*) as cohort_size
    from cohorts
    semi join periods on cohorts.cohort_date = periods.period_date
    group by cohort_date
),

counts as (
    select cohorts.cohort_date, returns.return_date, count(*) as returned_count
    from cohorts
    inner join returns using (app_id, subject_id)
    -- Nobody comes back before having started.
    where returns.return_date > cohorts.cohort_date
       or (returns.return_date = cohorts.cohort_date and returns.last_at >= cohorts.first_at)
    group by all
)

select
    cohort_sizes.cohort_date,
    period_number(cohort_sizes.cohort_date, periods.period_date, period) as period_no,
    periods.period_date,
    cohort_sizes.cohort_size,
    coalesce(counts.returned_count, 0) as returned_count,
    coalesce(counts.returned_count, 0) / cohort_sizes.cohort_size as rate,
    periods.is_complete
from cohort_sizes
inner join periods on cohort_sizes.cohort_date <= periods.period_date
left join counts on cohort_sizes.cohort_date = counts.cohort_date and periods.period_date = counts.return_date
-- Never false: a name that no event has is an error.
where (select is_known from check_names((select list(name) from names), app))
order by cohort_sizes.cohort_date, periods.period_date
