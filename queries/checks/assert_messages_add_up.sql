-- One row per app_id and channel whose messages do not add up to its deliveries.
-- Severity: fail
-- core.messages groups core.deliveries: what this guards is its SQL, no event can make it return a row.
with
deliveries as (
    select
        app_id,
        coalesce(channel, '') as channel_name,
        count(*) as delivery_count,
        count(sent_at) as sent_count,
        count(delivered_at) as delivered_count
    from core.deliveries
    group by all
),

messages as (
    select
        app_id,
        coalesce(channel, '') as channel_name,
        sum(endpoint_count)::bigint as delivery_count,
        sum(sent_count)::bigint as sent_count,
        sum(delivered_count)::bigint as delivered_count
    from core.messages
    group by all
)

select
    app_id,
    channel_name,
    deliveries.delivery_count as deliveries,
    messages.delivery_count as deliveries_in_messages,
    deliveries.sent_count as sent,
    messages.sent_count as sent_in_messages,
    deliveries.delivered_count as delivered,
    messages.delivered_count as delivered_in_messages
from deliveries
full join messages using (app_id, channel_name)
-- Each delivery is of one message.
where deliveries.delivery_count is distinct from messages.delivery_count
   or deliveries.sent_count is distinct from messages.sent_count
   or deliveries.delivered_count is distinct from messages.delivered_count
