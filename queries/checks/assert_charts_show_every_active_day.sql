-- One row per app_id and day with active endpoints that no chart shows, since it lies outside the calendar kpis.periods.
-- Severity: warn
-- Mostly a clock that is ahead: the day is in no line of days, though its week or month may count it.
select days.app_id, days.activity_date, count(*) as endpoint_count, sum(days.event_count)::bigint as event_count
from core.endpoint_days as days
left join kpis.periods as periods
    on days.app_id is not distinct from periods.app_id and periods.period = 'day' and days.activity_date = periods.period_date
-- The calendar knows the others.
where periods.period_date is null
group by days.app_id, days.activity_date
