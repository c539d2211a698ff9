-- One row per chart, app_id, period, period_date and part, for every period of the calendar, also those in which nothing happened.
-- points: LIST of STRUCT(chart, app_id, period, period_date, part, numerator, denominator), a chart with denominators being a rate.
-- calendar: LIST of STRUCT(app_id, period, period_date). `change` is against the period before; the first has none.
create macro chart_lines(points, calendar) as table
with
said as (
    select point.* from (select unnest(points) as point)
),

periods as (
    select moment.app_id, moment.period, moment.period_date from (select unnest(calendar) as moment)
),

parts as (
    select chart, app_id, period, part, count(denominator) > 0 as is_rate from said group by all
),

filled as (
    select
        parts.chart,
        parts.app_id,
        parts.period,
        periods.period_date,
        parts.part,
        parts.is_rate,
        coalesce(said.numerator, 0) as numerator,
        coalesce(
            said.denominator,
            -- All parts are shares of one whole, also one that nobody was of.
            case
                when parts.chart = 'events_per_session' or starts_with(parts.chart, 'demographics_')
                    then max(said.denominator) over (partition by parts.chart, parts.app_id, parts.period, periods.period_date)
            end,
            0
        ) as denominator
    from parts
    inner join periods using (app_id, period)
    left join said
        on parts.chart = said.chart
        and parts.app_id = said.app_id
        and parts.period = said.period
        and periods.period_date = said.period_date
        and parts.part is not distinct from said.part
),

valued as (
    select
        * exclude (is_rate) replace (case when is_rate then denominator end as denominator),
        case when is_rate then rate(numerator, denominator) else numerator end as value
    from filled
),

followed as (
    select *, lag(value) over (partition by chart, app_id, period, part order by period_date) as value_before from valued
)

select chart, app_id, period, period_date, part, numerator, denominator, value, value_before, change(value, value_before) as change
from followed
