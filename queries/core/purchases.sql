-- One row per event of type _monetization.purchase.
-- Purchases that are equal in everything stay as many as they are: each is an event of its own.
with
events as (
    select * from core.events
    -- A purchase is this type of event and no other.
    where event_type = '_monetization.purchase'
),

priced as (
    select
        *,
        metrics['_item_price'] as item_price,
        coalesce(metrics['_quantity'], 1) as quantity
    from events
)

select
    event_id,
    app_id,
    endpoint_id,
    user_id,
    nullif(session_id, '') as client_session_id,
    event_timestamp as purchased_at,
    event_date as purchase_date,
    attributes['_product_id'] as product_id,
    attributes['_currency'] as currency,
    attributes['_store'] as store,
    attributes['_transaction_id'] as transaction_id,
    attributes['_item_price_formatted'] as item_price_formatted,
    item_price,
    quantity,
    item_price * quantity as revenue,
    platform,
    country,
    traffic,
    is_activity,
    _topic_id,
    _partition,
    _offset
from priced
