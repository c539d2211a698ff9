-- One row per chart of the page Funnels, app_id, period, period_date and part.
-- Numerator, denominator: what kpis.chart_names says of each chart. Clock: when the message was sent, else its first answer. Zone: the app's.
select * exclude (source_view)
from kpis.charts
-- The page's own charts.
where source_view = 'page_messages' and starts_with(chart, 'funnels_')
