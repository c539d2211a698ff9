-- One row per chart of the page Demographics, app_id, period, period_date and part.
-- Numerator, denominator: what kpis.chart_names says of each chart. Clock: event_timestamp. Zone: the app's.
select * exclude (source_view)
from kpis.charts
-- The page's own charts.
where source_view = 'page_demographics'
