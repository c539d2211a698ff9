-- One row per chart of the page Funnels, app_id, period, period_date and part.
-- Numerator, denominator: what kpis.chart_names says of each chart. Clock: when the message was sent, else its first answer. Zone: the app's.
-- The page's own charts.
from chart_lines(
    (select list(said) from kpis.page_messages as said where starts_with(chart, 'funnels_')),
    (select list(calendar) from kpis.periods as calendar)
)
