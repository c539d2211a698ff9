-- One row per chart of the page Usage, app_id, period, period_date and part; periods in which nothing happened are left out.
-- Numerator, denominator: as the chart's own view says. Clock: event_timestamp. Zone: the app's; of the heat map the endpoint's.
with
kinds as (
    select unnest(['day', 'week', 'month']) as period
),

-- A day that no chart shows is in no week and no month either.
known_days as materialized (
    select * from kpis.known_days
),

active as (
    select 'endpoint' as subject, app_id, subject_id, activity_date from active_days()
    union all
    select 'user', app_id, user_id, activity_date from core.user_days
),

visits as (
    select
        *,
        min(activity_date) over subject_days = activity_date as is_first,
        lead(activity_date) over subject_days as next_date
    from active
    window subject_days as (
        partition by subject, app_id, subject_id order by activity_date rows between unbounded preceding and unbounded following
    )
),

counted as (
    select
        visits.app_id,
        kinds.period,
        period_date(visits.activity_date, kinds.period) as period_date,
        count(distinct visits.subject_id) filter (visits.subject = 'endpoint')::double as endpoints,
        count(distinct visits.subject_id) filter (visits.subject = 'user') as users,
        count(*) filter (visits.subject = 'endpoint' and visits.is_first) as new_endpoints,
        count(*) filter (visits.subject = 'user' and visits.is_first) as new_users
    from visits
    inner join known_days on visits.app_id = known_days.app_id and visits.activity_date between known_days.first_date and known_days.last_date
    cross join kinds
    group by all
),

-- A visit makes active for thirty days, its own the first, or until the next one does: so nobody is counted twice, and what begins and ends adds up.
turns as (
    select subject, app_id, activity_date as day, 1 as turn from visits
    union all
    select subject, app_id, least(activity_date + 30, next_date), -1 from visits
),

months as (
    select subject, app_id, day, sum(sum(turn)) over (partition by subject, app_id order by day)::double as subjects
    from turns
    group by subject, app_id, day
),

monthly as (
    select
        periods.app_id,
        periods.period,
        periods.period_date,
        coalesce(endpoints.subjects, 0) as endpoints,
        coalesce(users.subjects, 0) as users,
        coalesce(last_days.endpoints, 0) as endpoints_of_last_day
    from kpis.periods as periods
    asof left join (from months where subject = 'endpoint') as endpoints
        on periods.app_id = endpoints.app_id and periods.known_date >= endpoints.day
    asof left join (from months where subject = 'user') as users
        on periods.app_id = users.app_id and periods.known_date >= users.day
    left join counted as last_days
        on periods.app_id = last_days.app_id and last_days.period = 'day' and periods.known_date = last_days.period_date
),

-- As weekly_return counts users: the seven days up to a day, and the seven before those.
active_weeks as (
    select distinct app_id, subject_id, activity_date + unnest(range(7))::int as week_end from active_days(subject := 'user')
),

returns as (
    select before.app_id, before.week_end + 7 as period_date, count(*) as came, count(later.subject_id) as returned
    from active_weeks as before
    left join active_weeks as later
        on before.app_id = later.app_id and before.subject_id = later.subject_id and before.week_end + 7 = later.week_end
    group by all
),

sessions as materialized (
    select sessions.app_id, sessions.endpoint_id, nullif(sessions.user_id, '') as user_id, sessions.session_date, sessions.started_at
    from core.sessions as sessions
    inner join known_days on sessions.app_id = known_days.app_id and sessions.session_date between known_days.first_date and known_days.last_date
),

opened as (
    select
        sessions.app_id,
        kinds.period,
        period_date(sessions.session_date, kinds.period) as period_date,
        count(*) as sessions,
        count(sessions.user_id) as user_sessions
    from sessions
    cross join kinds
    group by all
),

-- On the endpoint's own clock; the app's where nobody knows that, or it names no zone: DuckDB refuses one that it does not know.
clocks as (
    select
        sessions.app_id,
        sessions.session_date,
        timezone(coalesce(zones.name, settings.app_zones[sessions.app_id], settings.report_zone), sessions.started_at) as started_at
    from sessions
    left join core.endpoints as endpoints on sessions.app_id = endpoints.app_id and lower(sessions.endpoint_id) = lower(endpoints.endpoint_id)
    left join pg_timezone_names() as zones on endpoints.timezone = zones.name
    cross join settings
),

hours as (
    select app_id, session_date, isodow(started_at) || ' ' || lpad(hour(started_at)::varchar, 2, '0') as part, count(*) as sessions
    from clocks
    group by all
),

signings as (
    select app_id, event_date, event_type, count(*) as events
    from core.events
    -- Only these are about signing in.
    where event_type in ('_userauth.sign_in', '_userauth.sign_up', '_userauth.auth_fail')
    group by all
)

select said.chart, app_id, period, period_date, null::varchar as part, said.numerator, said.denominator
from (
    select *, unnest([
        {'chart': 'usage_daily_active_endpoints', 'numerator': endpoints, 'denominator': null::double},
        {'chart': 'usage_daily_active_users', 'numerator': users, 'denominator': null},
        {'chart': 'usage_new_endpoints', 'numerator': new_endpoints, 'denominator': null},
        {'chart': 'usage_new_users', 'numerator': new_users, 'denominator': null},
        {'chart': 'usage_sessions', 'numerator': coalesce(sessions, 0), 'denominator': null},
        {'chart': 'usage_sessions_per_endpoint', 'numerator': coalesce(sessions, 0), 'denominator': endpoints},
        {'chart': 'usage_sessions_per_user', 'numerator': coalesce(user_sessions, 0), 'denominator': users}
    ]) as said
    from counted
    left join opened using (app_id, period, period_date)
)
union all
select said.chart, app_id, period, period_date, null, said.numerator, said.denominator
from (
    select *, unnest([
        {'chart': 'usage_monthly_active_endpoints', 'numerator': endpoints, 'denominator': null::double},
        {'chart': 'usage_monthly_active_users', 'numerator': users, 'denominator': null},
        {'chart': 'usage_sticky_factor', 'numerator': endpoints_of_last_day, 'denominator': endpoints}
    ]) as said
    from monthly
)
union all
select 'usage_seven_day_retention', app_id, 'day', period_date, null, returned, came
from returns
union all
select 'usage_session_heat_map', hours.app_id, kinds.period, period_date(hours.session_date, kinds.period), hours.part, sum(hours.sessions), null
from hours
cross join kinds
group by all
union all
select
    case signings.event_type when '_userauth.sign_in' then 'usage_sign_ins' when '_userauth.sign_up' then 'usage_sign_ups' else 'usage_sign_in_failures' end,
    signings.app_id, kinds.period, period_date(signings.event_date, kinds.period), null, sum(signings.events), null
from signings
inner join known_days on signings.app_id = known_days.app_id and signings.event_date between known_days.first_date and known_days.last_date
cross join kinds
group by all
