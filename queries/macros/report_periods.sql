-- One row per period from the one that from_date lies in to the one that to_date lies in, as far as it has begun.
-- from_date, to_date: DATE or TEXT, days. period: 'day', 'week' or 'month'. app: TEXT, whose zone says which day it is; null: the report's.
-- today: DATE or TEXT, the day on which is asked; null for the present one.
-- subject: 'endpoint' or 'user', whom the report counts. It changes no row, and is checked here for all reports: also when there is no event, and no period yet.
-- is_complete: the period's last day is not after to_date, and is over.
-- Errors: a day that is none, from_date after to_date, a period or subject that is not named here.
create macro report_periods(from_date, to_date, period := 'day', app := null, today := null, subject := 'endpoint') as table
with
arguments as materialized (
    select
        check_range(from_date, to_date) as days,
        check_choice(period, 'period', ['day', 'week', 'month']) as period_kind,
        check_choice(subject, 'subject', ['endpoint', 'user']) as subject_kind,
        check_date(coalesce(today::varchar, local_date(get_current_timestamp(), app_zone(app))::varchar), 'today') as present_day
),

periods as (
    select
        unnest(generate_series(
            period_date(arguments.days.from_date, arguments.period_kind),
            least(arguments.days.to_date, arguments.present_day),
            case arguments.period_kind when 'day' then interval 1 day when 'week' then interval 7 days else interval 1 month end
        ))::date as period_date,
        arguments.*
    from arguments
    -- Never false: another subject has raised its error.
    where arguments.subject_kind is not null
)

select
    periods.period_date,
    next_period_date(periods.period_date, periods.period_kind) <= least(periods.days.to_date + 1, periods.present_day) as is_complete
from periods
