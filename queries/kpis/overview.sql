-- One row per chart of the page Overview, app_id, period, period_date and part.
-- Numerator, denominator: what kpis.chart_names says of each chart. Clock: that of the chart's own page. Zone: the app's.
select
    case split_part(chart, '_', 1) when 'campaigns' then 'campaigns' when 'transactional' then 'transactional e-mail' else 'app' end as block,
    * exclude (source_view)
from kpis.charts
-- What the page shows of the others.
where source_view in ('page_usage', 'page_revenue', 'page_messages')
  and chart in (
      'usage_daily_active_endpoints', 'usage_monthly_active_endpoints', 'usage_new_endpoints', 'usage_seven_day_retention', 'usage_sessions', 'revenue_total',
      'campaigns_active', 'campaigns_messages_delivered', 'campaigns_delivery_rate', 'campaigns_opt_out_rate', 'campaigns_email_open_rate',
      'campaigns_push_open_rate', 'campaigns_endpoint_deliveries',
      'transactional_email_sends', 'transactional_email_deliveries', 'transactional_email_opens', 'transactional_email_clicks'
  )
