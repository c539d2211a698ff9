-- One row per chart of the pages, app_id, period, period_date and part, also of periods in which nothing happened: a part's from its first to its last.
-- Numerator, denominator: what kpis.chart_names says of each chart; a chart with denominators is a rate. Clock and zone: of each chart's own page.
-- `value_before` and `change` are of the period before; the first has none, nor has the one after a week or month that began before the app's first known day. What happened on days outside the calendar kpis.periods is left out, of weeks and months too.
-- source_view: the view of kpis that counts the chart; on which page it stands, kpis.chart_names says. It is in every grouping, so that DuckDB leaves out the views that a page does not ask for.
-- A filter by chart alone leaves out none: all pages are computed. Ask for source_view too, or ask the page's own view.
with
said as (
    select 'page_usage' as source_view, * from kpis.page_usage
    union all
    select 'page_revenue', * from kpis.page_revenue
    union all
    select 'page_events', * from kpis.page_events
    union all
    select 'page_demographics', * from kpis.page_demographics
    union all
    select 'page_messages', * from kpis.page_messages
    union all
    select 'page_pushes', * from kpis.page_pushes
),

parts as (
    select
        source_view,
        chart,
        app_id,
        period,
        part,
        count(denominator) > 0 as is_rate,
        min(period_date) as first_date,
        max(period_date) as last_date,
        map_from_entries(list({'date': period_date, 'said': {'numerator': numerator, 'denominator': denominator}})) as said
    from said
    group by all
),

known as (
    select
        parts.* exclude (said),
        periods.period_date,
        periods.is_complete,
        periods.is_cut,
        parts.said[periods.period_date] as point
    from parts
    inner join kpis.periods as periods
        on parts.app_id = periods.app_id
        and parts.period = periods.period
        -- A campaign of one day is no line through all years; a chart without parts is one.
        and (parts.part is null or periods.period_date between parts.first_date and parts.last_date)
),

filled as (
    select
        source_view,
        chart,
        app_id,
        period,
        period_date,
        part,
        is_rate,
        is_complete,
        is_cut,
        coalesce(point.numerator, 0) as numerator,
        coalesce(
            point.denominator,
            -- Of these, parts are shares of one whole, also where nobody was of a part.
            case when source_view in ('page_events', 'page_demographics') then max(point.denominator) over (partition by source_view, chart, app_id, period, period_date) end,
            0
        ) as denominator
    from known
),

valued as (
    select
        * exclude (is_rate) replace (case when is_rate then denominator end as denominator),
        case when is_rate then rate(numerator, denominator) else numerator end as value
    from filled
),

followed as (
    -- A week of five days would make the next one rise.
    select
        *,
        lag(case when not is_cut then value end) over (partition by source_view, chart, app_id, period, part order by period_date) as value_before
    from valued
)

select source_view, chart, app_id, period, period_date, part, numerator, denominator, value, value_before, change(value, value_before) as change, is_complete
from followed
