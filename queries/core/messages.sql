-- One row per app_id, channel and message.
-- What a run of a campaign or a journey's activity sends is one message to many endpoints; a transactional message has one.
select
    app_id,
    channel,
    message_key,
    case when count(*) = 1 then max(message_id) end as message_id,
    max(campaign_id) as campaign_id,
    max(campaign_activity_id) as campaign_activity_id,
    max(journey_id) as journey_id,
    max(journey_run_id) as journey_run_id,
    max(journey_activity_id) as journey_activity_id,
    count(distinct treatment_id) as treatment_count,
    count(*) as endpoint_count,
    min(sent_at) as first_sent_at,
    max(sent_at) as last_sent_at,
    count(sent_at) as sent_count,
    count(delivered_at) as delivered_count,
    count(opened_at) as opened_count,
    count(machine_opened_at) as machine_opened_count,
    count(clicked_at) as clicked_count,
    count(machine_clicked_at) as machine_clicked_count,
    count(*) filter (bounce_type = 'hard') as hardbounced_count,
    count(*) filter (bounce_type = 'soft') as softbounced_count,
    count(complained_at) as complained_count,
    count(opted_out_at) as opted_out_count,
    count(rejected_at) as rejected_count,
    count(failed_at) as failed_count,
    sum(parts) as part_count,
    coalesce(sum(price_millicents), 0) as price_millicents
from core.deliveries
group by app_id, channel, message_key
