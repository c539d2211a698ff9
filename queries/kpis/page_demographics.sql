-- One row per chart of the page Demographics, app_id, period, period_date and part, what endpoints have in common; of attributes `name=value`.
-- Numerator: endpoints active in the period that have it now. Denominator: endpoints active. Clock: event_timestamp. Zone: the app's.
with
active as (
    select days.app_id, periods.period, periods.period_date, days.endpoint_id, max(days.platform) as seen_platform, max(days.country) as seen_country
    from core.endpoint_days as days
    inner join kpis.periods as periods on days.app_id = periods.app_id and days.activity_date between periods.period_date and periods.last_date
    group by all
),

known as (
    select
        active.*,
        count(*) over (partition by active.app_id, active.period, active.period_date) as endpoints,
        endpoints.* exclude (app_id, endpoint_id)
    from active
    left join core.endpoints as endpoints on active.app_id = endpoints.app_id and lower(active.endpoint_id) = lower(endpoints.endpoint_id)
),

traits as (
    select app_id, period, period_date, endpoint_id, endpoints, said.chart, said.part
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
    select app_id, period, period_date, endpoint_id, endpoints, 'demographics_attributes', entry.key || '=' || unnest(entry.value)
    from (select *, unnest(map_entries(attributes)) as entry from known)
)

select chart, app_id, period, period_date, part, count(distinct endpoint_id)::double as numerator, max(endpoints)::double as denominator
from traits
group by all
