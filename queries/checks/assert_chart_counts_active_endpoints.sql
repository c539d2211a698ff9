-- One row per app_id and day on which the chart of active endpoints shows another number than the events that landed.
-- Severity: fail
-- The chart comes by core.events, active_days and the calendar; here the days are counted from the table, by the definition.
with
quarters as (
    select distinct app_id, endpoint_id, epoch_ms(event_timestamp) // 900000 * 900 as quarter_secs
    from staging.events
    -- Activity: what these families say happened to the endpoint.
    where coalesce(endpoint_id, '') <> ''
      and split_part(lower(event_type), '.', 1) not in ('_email', '_sms', '_campaign', '_journey')
),

counted as (
    select app_id, (to_timestamp(quarter_secs) at time zone app_zone(app_id))::date as activity_date, count(distinct endpoint_id) as endpoint_count
    from quarters
    group by all
),

charted as (
    select app_id, period_date, value::bigint as endpoint_count
    from kpis.usage
    where chart = 'usage_daily_active_endpoints' and period = 'day'
)

select
    periods.app_id,
    periods.period_date as activity_date,
    coalesce(charted.endpoint_count, 0) as endpoints_of_chart,
    coalesce(counted.endpoint_count, 0) as endpoints_of_events
from kpis.periods as periods
left join charted on periods.app_id is not distinct from charted.app_id and periods.period_date = charted.period_date
left join counted on periods.app_id is not distinct from counted.app_id and periods.period_date = counted.activity_date
-- The same endpoints on each day of the calendar; what lies outside it is assert_charts_show_every_active_day's.
where periods.period = 'day'
  and coalesce(charted.endpoint_count, 0) <> coalesce(counted.endpoint_count, 0)
