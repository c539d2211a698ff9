-- One row per app_id, channel and endpoint that a campaign or a journey wrote to after it had opted out and before it asked to be written to again.
-- Severity: warn
-- What people asked for themselves, a receipt for one, may go on. An update of the endpoint that says opt_out NONE, accepted after the opt-out, asks again: for what is sent from then on.
with
sends as (
    select app_id, channel, endpoint_id, lower(endpoint_id) as endpoint_key, sent_at
    from core.deliveries
    -- What was sent by nobody's wish. What was held back has no moment, which asof would take for the latest.
    where (campaign_id is not null or journey_id is not null) and sent_at is not null
),

opt_outs as (
    -- Each of them: by one mail people may opt out twice.
    select distinct app_id, channel, endpoint_id, happened_at as opted_out_at
    from core.message_facts
    -- The others never asked to be left alone.
    where fact = 'optout'
),

wishes as (
    select app_id, lower(endpoint_id) as endpoint_key, opt_out, _appended_at as asked_at
    from staging.endpoint_updates
    -- What says nothing of it changes nothing.
    where opt_out in ('NONE', 'ALL')
)

select
    sends.app_id,
    sends.channel,
    sends.endpoint_id,
    min(opt_outs.opted_out_at) as opted_out_at,
    count(*) as message_count,
    min(sends.sent_at) as first_sent_at
from sends
-- The last opt-out before the message, and the last wish.
asof join opt_outs
    on sends.app_id = opt_outs.app_id
    and sends.channel = opt_outs.channel
    and sends.endpoint_id = opt_outs.endpoint_id
    and sends.sent_at > opt_outs.opted_out_at
asof left join wishes
    on sends.app_id = wishes.app_id and sends.endpoint_key = wishes.endpoint_key and sends.sent_at >= wishes.asked_at
-- Who asked since then may be written to, unless they asked otherwise after that.
where coalesce(wishes.asked_at <= opt_outs.opted_out_at or wishes.opt_out = 'ALL', true)
group by sends.app_id, sends.channel, sends.endpoint_id
