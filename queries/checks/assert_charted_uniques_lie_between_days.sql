-- One row per chart of uniques, app_id, week or month that has more than its days together, or fewer than one of them.
-- Severity: fail
-- Who came on two days counts once in the week. A day that the calendar does not show is in no week either, whatever a clock says.
with
uniques as materialized (
    select chart, app_id, period, period_date, value::bigint as subject_count
    from kpis.usage
    -- Charts of distinct subjects that were active in the period itself.
    where chart in ('usage_daily_active_endpoints', 'usage_daily_active_users')
),

bounds as (
    select
        days.chart,
        days.app_id,
        kinds.period,
        period_date(days.period_date, kinds.period) as period_date,
        max(days.subject_count) as least_count,
        sum(days.subject_count)::bigint as most_count
    from uniques as days
    cross join (values ('week'), ('month')) as kinds (period)
    where days.period = 'day'
    group by all
)

select chart, app_id, period, period_date, uniques.subject_count, bounds.least_count, bounds.most_count
from uniques
inner join bounds using (chart, app_id, period, period_date)
-- As many as one day has at least, and as all days together at most.
where uniques.subject_count not between bounds.least_count and bounds.most_count
