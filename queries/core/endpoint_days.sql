-- One row per app_id, endpoint_id and day on which the endpoint was active.
with
days as (
    select
        app_id,
        endpoint_id,
        event_date as activity_date,
        arg_max(user_id, event_timestamp) as user_id,
        min(event_timestamp) as first_event_at,
        max(event_timestamp) as last_event_at,
        count(*) as event_count,
        arg_max(platform, event_timestamp) as platform,
        arg_max(country, event_timestamp) as country,
        max(traffic) as traffic
    from core.events
    -- What happened to the endpoint makes nobody active.
    where is_activity
    group by all
),

sessions as (
    select app_id, endpoint_id, session_date as activity_date, count(*) as session_count
    from core.sessions
    group by all
),

purchases as (
    select
        app_id,
        endpoint_id,
        purchase_date as activity_date,
        count(*) as purchase_count,
        sum(revenue) as revenue,
        -- Sums over several currencies mean nothing: then there is no currency to name.
        common_currency(currency, revenue) as currency
    from core.purchases
    -- A purchase without an endpoint has no endpoint day; core.purchases has it.
    where is_activity
    group by all
)

select
    days.app_id,
    days.endpoint_id,
    days.activity_date,
    days.user_id,
    days.first_event_at,
    days.last_event_at,
    days.event_count,
    coalesce(sessions.session_count, 0) as session_count,
    coalesce(purchases.purchase_count, 0) as purchase_count,
    coalesce(purchases.revenue, 0) as revenue,
    purchases.currency,
    days.activity_date = min(days.activity_date) over (partition by days.app_id, days.endpoint_id) as is_new,
    days.platform,
    days.country,
    days.traffic
from days
left join sessions using (app_id, endpoint_id, activity_date)
left join purchases using (app_id, endpoint_id, activity_date)
