-- One row per chart of the page Demographics, app_id, period, period_date and part.
-- Numerator, denominator: what kpis.chart_names says of each chart. Clock: event_timestamp. Zone: the app's.
from chart_lines(
    (select list(said) from kpis.page_demographics as said),
    (select list(calendar) from kpis.periods as calendar),
    shared := true
)
