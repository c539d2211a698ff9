-- One row per chart of the page Events, app_id, period, period_date and part, the event type.
-- Numerator, denominator: as the chart's own view says. Clock: event_timestamp. Zone: the app's.
with
kinds as (
    select unnest(['day', 'week', 'month']) as period
),

-- A day that no chart shows is in no week and no month either.
known_days as materialized (
    select * from kpis.known_days
),

days as (
    select app_id, event_date, event_type, nullif(endpoint_id, '') as endpoint_id, count(*) as events
    from core.events
    group by all
),

counted as (
    select
        days.app_id,
        kinds.period,
        period_date(days.event_date, kinds.period) as period_date,
        days.event_type,
        sum(days.events)::double as events,
        count(distinct days.endpoint_id) as endpoints
    from days
    inner join known_days on days.app_id = known_days.app_id and days.event_date between known_days.first_date and known_days.last_date
    cross join kinds
    group by all
),

session_days as (
    -- All sessions, with the event or without.
    select app_id, session_date, count(*) as sessions from core.sessions group by all
),

sessions as (
    select session_days.app_id, kinds.period, period_date(session_days.session_date, kinds.period) as period_date, sum(session_days.sessions) as sessions
    from session_days
    inner join known_days on session_days.app_id = known_days.app_id and session_days.session_date between known_days.first_date and known_days.last_date
    cross join kinds
    group by all
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
