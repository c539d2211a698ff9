-- One row per chart of the page Usage, app_id, period, period_date and part; periods in which nothing happened are left out.
-- Numerator, denominator: as the chart's own view says. Clock: event_timestamp. Zone: the app's; of the heat map the endpoint's.
with
active as (
    select
        days.*,
        coalesce(days.user_id, 'endpoint:' || days.endpoint_id) as subject,
        days.user_id is not null and days.activity_date = min(days.activity_date) over (partition by days.app_id, days.user_id) as is_new_user
    from core.endpoint_days as days
),

counted as (
    select
        active.app_id,
        periods.period,
        periods.period_date,
        count(distinct endpoint_id)::double as endpoints,
        count(distinct user_id)::double as users,
        count(distinct endpoint_id) filter (is_new) as new_endpoints,
        count(distinct user_id) filter (is_new_user) as new_users,
        sum(session_count) as sessions
    from active
    inner join kpis.periods as periods on active.app_id = periods.app_id and active.activity_date between periods.period_date and periods.last_date
    group by all
),

months as (
    select
        periods.app_id,
        periods.period,
        periods.period_date,
        count(distinct endpoint_id)::double as endpoints,
        count(distinct user_id)::double as users,
        count(distinct endpoint_id) filter (activity_date = last_date) as endpoints_of_last_day
    from kpis.periods as periods
    inner join active on periods.app_id = active.app_id and active.activity_date between periods.last_date - 29 and periods.last_date
    group by all
),

visits as (
    select app_id, subject, activity_date from active group by all
),

returns as (
    select
        visits.app_id,
        visits.activity_date + 8 as period_date,
        count(*) as came,
        count(*) filter (exists (
            from visits as later
            where later.app_id = visits.app_id and later.subject = visits.subject
                and later.activity_date between visits.activity_date + 1 and visits.activity_date + 7
        )) as returned
    from visits
    group by all
),

hours as (
    select
        sessions.app_id,
        sessions.session_date,
        -- The endpoint's own clock; the app's where nobody knows that, or it names no zone: DuckDB refuses one that it does not know.
        timezone(coalesce(zones.name, settings.app_zones[sessions.app_id], settings.report_zone), sessions.started_at) as started_local
    from core.sessions as sessions
    left join core.endpoints as endpoints on sessions.app_id = endpoints.app_id and lower(sessions.endpoint_id) = lower(endpoints.endpoint_id)
    left join pg_timezone_names() as zones on endpoints.timezone = zones.name
    cross join settings
)

select said.chart, app_id, period, period_date, null::varchar as part, said.numerator, said.denominator
from (
    select *, unnest([
        {'chart': 'usage_daily_active_endpoints', 'numerator': endpoints, 'denominator': null::double},
        {'chart': 'usage_daily_active_users', 'numerator': users, 'denominator': null},
        {'chart': 'usage_new_endpoints', 'numerator': new_endpoints, 'denominator': null},
        {'chart': 'usage_new_users', 'numerator': new_users, 'denominator': null},
        {'chart': 'usage_sessions', 'numerator': sessions, 'denominator': null},
        {'chart': 'usage_sessions_per_endpoint', 'numerator': sessions, 'denominator': endpoints},
        {'chart': 'usage_sessions_per_user', 'numerator': sessions, 'denominator': users}
    ]) as said
    from counted
)
union all
select said.chart, app_id, period, period_date, null, said.numerator, said.denominator
from (
    select *, unnest([
        {'chart': 'usage_monthly_active_endpoints', 'numerator': endpoints, 'denominator': null::double},
        {'chart': 'usage_monthly_active_users', 'numerator': users, 'denominator': null},
        {'chart': 'usage_sticky_factor', 'numerator': endpoints_of_last_day, 'denominator': endpoints}
    ]) as said
    from months
)
union all
select 'usage_seven_day_retention', returns.app_id, 'day', returns.period_date, null, returns.returned, returns.came
from returns
union all
select 'usage_session_heat_map', hours.app_id, periods.period, periods.period_date, strftime(hours.started_local, '%u %H'), count(*), null
from hours
inner join kpis.periods as periods on hours.app_id = periods.app_id and hours.session_date between periods.period_date and periods.last_date
group by all
union all
select
    case events.event_type when '_userauth.sign_in' then 'usage_sign_ins' when '_userauth.sign_up' then 'usage_sign_ups' else 'usage_sign_in_failures' end,
    events.app_id, periods.period, periods.period_date, null, count(*), null
from core.events as events
inner join kpis.periods as periods on events.app_id = periods.app_id and events.event_date between periods.period_date and periods.last_date
-- Only these are about signing in.
where events.event_type in ('_userauth.sign_in', '_userauth.sign_up', '_userauth.auth_fail')
group by all
