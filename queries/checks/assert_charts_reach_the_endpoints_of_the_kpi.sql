-- One row per app_id and day on which campaigns reach other endpoints by their charts than by the KPI of unique deliveries.
-- Severity: fail
-- kpis.page_messages and kpis.unique_endpoints each say what a reached endpoint is. Its opt-outs are a part of the same endpoints.
with
charted as (
    select
        app_id,
        period_date as kpi_date,
        max(numerator) filter (chart = 'campaigns_endpoint_deliveries') as reached_count,
        max(numerator) filter (chart = 'campaigns_opt_out_rate') as opted_out_count,
        max(denominator) filter (chart = 'campaigns_opt_out_rate') as asked_count
    from kpis.page_messages
    where period = 'day' and chart in ('campaigns_endpoint_deliveries', 'campaigns_opt_out_rate')
    group by all
),

kpis as (
    select app_id, kpi_date, count(distinct endpoint_id) as endpoint_count
    from kpis.unique_endpoints
    where kpi_name = 'unique-deliveries'
    group by all
)

select
    coalesce(charted.app_id, kpis.app_id) as app_id,
    coalesce(charted.kpi_date, kpis.kpi_date) as kpi_date,
    coalesce(charted.reached_count, 0)::bigint as endpoints_of_chart,
    coalesce(charted.asked_count, 0)::bigint as endpoints_of_opt_out_rate,
    coalesce(kpis.endpoint_count, 0)::bigint as endpoints_of_kpi,
    coalesce(charted.opted_out_count, 0)::bigint as opted_out_count
from charted
full join kpis on charted.app_id is not distinct from kpis.app_id and charted.kpi_date = kpis.kpi_date
-- One number in three places; a day on which nobody was reached has no row of the KPI.
where coalesce(charted.reached_count, 0) <> coalesce(kpis.endpoint_count, 0)
   or coalesce(charted.asked_count, 0) <> coalesce(kpis.endpoint_count, 0)
   or coalesce(charted.opted_out_count, 0) > coalesce(kpis.endpoint_count, 0)
