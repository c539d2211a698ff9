-- One row per chart, app_id, period, period_date and part, also of periods in which nothing happened: a part's from its first to its last.
-- points: LIST of STRUCT(chart, app_id, period, period_date, part, numerator, denominator), a chart with denominators being a rate.
-- calendar: LIST of STRUCT(app_id, period, period_date, is_complete); points of other periods are left out. A chart whose part is null has all of them.
-- shared: BOOLEAN: the parts of a chart are shares of one whole, also where nobody was of a part.
-- `change` is against the period before; the first has none. `is_complete`: the period is over.
create macro chart_lines(points, calendar, shared := false) as table
with
said as (
    select point.* from (select unnest(points) as point)
),

periods as (
    select moment.app_id, moment.period, moment.period_date, moment.is_complete from (select unnest(calendar) as moment)
),

parts as (
    select chart, app_id, period, part, count(denominator) > 0 as is_rate, min(period_date) as first_date, max(period_date) as last_date
    from said
    group by all
),

filled as (
    select
        parts.chart,
        parts.app_id,
        parts.period,
        periods.period_date,
        parts.part,
        parts.is_rate,
        periods.is_complete,
        coalesce(said.numerator, 0) as numerator,
        coalesce(
            said.denominator,
            case when shared then max(said.denominator) over (partition by parts.chart, parts.app_id, parts.period, periods.period_date) end,
            0
        ) as denominator
    from parts
    inner join periods
        on parts.app_id = periods.app_id
        and parts.period = periods.period
        -- A campaign of one day is no line through all years.
        and (parts.part is null or periods.period_date between parts.first_date and parts.last_date)
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

select chart, app_id, period, period_date, part, numerator, denominator, value, value_before, change(value, value_before) as change, is_complete
from followed
