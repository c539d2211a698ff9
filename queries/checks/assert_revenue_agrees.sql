-- One row per app_id whose revenue differs between its events, core.purchases and core.endpoint_days.
-- Severity: fail
with
events as (
    select
        app_id,
        count(*) as purchase_count,
        coalesce(sum(metrics['_item_price'] * coalesce(metrics['_quantity'], 1)), 0) as revenue
    from staging.events
    -- Purchases with an endpoint: the others have no endpoint day.
    where event_type = '_monetization.purchase' and coalesce(endpoint_id, '') <> ''
    group by all
),

purchases as (
    select app_id, count(*) as purchase_count, coalesce(sum(revenue), 0) as revenue
    from core.purchases
    -- The same as above.
    where is_activity
    group by all
),

days as (
    select app_id, sum(purchase_count)::bigint as purchase_count, sum(revenue) as revenue
    from core.endpoint_days
    -- An app that never sold anything is in neither of the others.
    where purchase_count > 0
    group by all
)

select
    app_id,
    events.purchase_count as purchases_in_events,
    purchases.purchase_count as purchases_in_purchases,
    days.purchase_count as purchases_in_days,
    events.revenue as revenue_in_events,
    purchases.revenue as revenue_in_purchases,
    days.revenue as revenue_in_days
from events
full join purchases using (app_id)
full join days using (app_id)
-- Counts to the one; sums to a billionth, since adding in another order moves the last digits.
where events.purchase_count is distinct from purchases.purchase_count
   or events.purchase_count is distinct from days.purchase_count
   or coalesce(abs(events.revenue - purchases.revenue) > 1e-9 * greatest(1, abs(events.revenue)), true)
   or coalesce(abs(events.revenue - days.revenue) > 1e-9 * greatest(1, abs(events.revenue)), true)
