-- One row per chart of the page Demographics, app_id, period, period_date and part, what endpoints have in common; of attributes `name=value`.
-- Numerator: endpoints active in the period that have it now. Denominator: endpoints active. Ids that differ only in case are one, as in core.endpoints. Clock: event_timestamp. Zone: the app's.
with
kinds as (
    select unnest(['day', 'week', 'month']) as period
),

-- A day that no chart shows is in no week and no month either.
known_days as materialized (
    select * from kpis.known_days
),

days as (
    select app_id, endpoint_id, event_date as activity_date, max(platform) as seen_platform, max(country) as seen_country
    from core.events
    -- What happened to an endpoint makes it not active.
    where is_activity
    group by all
),

active as (
    select
        days.app_id,
        kinds.period,
        period_date(days.activity_date, kinds.period) as period_date,
        -- As core.endpoints has it: ids that differ only in case are one endpoint, with one voice.
        lower(days.endpoint_id) as endpoint_key,
        max(days.seen_platform) as seen_platform,
        max(days.seen_country) as seen_country
    from days
    inner join known_days on days.app_id = known_days.app_id and days.activity_date between known_days.first_date and known_days.last_date
    cross join kinds
    group by all
),

known as (
    select
        active.*,
        count(*) over (partition by active.app_id, active.period, active.period_date) as endpoints,
        endpoints.* exclude (app_id, endpoint_id)
    from active
    left join core.endpoints as endpoints on active.app_id = endpoints.app_id and active.endpoint_key = lower(endpoints.endpoint_id)
),

traits as (
    select app_id, period, period_date, endpoint_key, endpoints, said.chart, said.part
    from (
        select *, unnest([
            {'chart': 'demographics_platform', 'part': coalesce(platform, seen_platform, 'unknown')},
            {'chart': 'demographics_app_version', 'part': coalesce(app_version, 'unknown')},
            {'chart': 'demographics_model', 'part': coalesce(model, 'unknown')},
            {'chart': 'demographics_make', 'part': coalesce(make, 'unknown')},
            {'chart': 'demographics_country', 'part': coalesce(country, seen_country, 'unknown')}
        ]) as said
        from known
    )
    union all
    select app_id, period, period_date, endpoint_key, endpoints, 'demographics_attributes', entry.key || '=' || unnest(entry.value)
    from (select *, unnest(map_entries(attributes)) as entry from known)
)

select chart, app_id, period, period_date, part, count(distinct endpoint_key)::double as numerator, max(endpoints)::double as denominator
from traits
group by all
