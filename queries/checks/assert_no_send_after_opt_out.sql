-- One row per app_id, channel and endpoint that a campaign or a journey wrote to after it had opted out.
-- Severity: warn
-- What people asked for themselves, a receipt for one, may go on.
with
opt_outs as (
    select app_id, channel, endpoint_id, min(opted_out_at) as opted_out_at
    from core.deliveries
    -- The others never asked to be left alone.
    where opted_out_at is not null
    group by all
)

select
    deliveries.app_id,
    deliveries.channel,
    deliveries.endpoint_id,
    opt_outs.opted_out_at,
    count(*) as message_count,
    min(deliveries.sent_at) as first_sent_at
from core.deliveries as deliveries
inner join opt_outs using (app_id, channel, endpoint_id)
-- Only what was sent later, and by nobody's wish.
where deliveries.sent_at > opt_outs.opted_out_at and (deliveries.campaign_id is not null or deliveries.journey_id is not null)
group by all
