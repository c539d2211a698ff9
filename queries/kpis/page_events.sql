-- One row per chart of the page Events, app_id, period, period_date and part, the event type.
-- Numerator, denominator: as the chart's own view says. Clock: event_timestamp. Zone: the app's.
with
counted as (
    select
        events.app_id,
        periods.period,
        periods.period_date,
        events.event_type,
        count(*)::double as events,
        count(distinct nullif(events.endpoint_id, '')) as endpoints
    from core.events as events
    inner join kpis.periods as periods on events.app_id = periods.app_id and events.event_date between periods.period_date and periods.last_date
    group by all
),

sessions as (
    select app_id, period, period_date, numerator as sessions
    from kpis.page_usage
    -- All sessions of the period, with the event or without.
    where chart = 'usage_sessions'
)

select said.chart, app_id, period, period_date, event_type as part, said.numerator, said.denominator
from (
    select counted.*, unnest([
        {'chart': 'events_count', 'numerator': events, 'denominator': null::double},
        {'chart': 'events_endpoint_count', 'numerator': endpoints, 'denominator': null},
        {'chart': 'events_per_session', 'numerator': events, 'denominator': coalesce(sessions, 0)}
    ]) as said
    from counted
    left join sessions using (app_id, period, period_date)
)
