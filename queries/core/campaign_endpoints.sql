-- One row per app_id, campaign_id and endpoint_id that the campaign decided on, held out or not, or that answered it without a known decision.
select
    app_id,
    campaign_id,
    endpoint_id,
    max(user_id) as user_id,
    min(channel) as channel,
    -- Who gets which treatment is decided once; a later word on it changes nothing.
    arg_min(
        treatment_id, (coalesce(decided_at, sent_at, delivered_at, received_at, opened_at, machine_opened_at, clicked_at, opted_out_at), treatment_id)
    ) as treatment_id,
    -- As for lift: whom a cap or a failure kept from it is in neither group by that.
    coalesce(
        arg_min(send_status, (decided_at, send_status)) filter (send_status in ('SUCCESS', 'HOLDOUT')) = 'HOLDOUT', false
    ) as is_held_out,
    min(coalesce(decided_at, sent_at)) as assigned_at,
    count(distinct message_key) as message_count,
    count(sent_at) as sent_count,
    count(delivered_at) as delivered_count,
    count(opened_at) as opened_count,
    count(machine_opened_at) as machine_opened_count,
    count(clicked_at) as clicked_count,
    count(machine_clicked_at) as machine_clicked_count,
    count(bounced_at) as bounced_count,
    min(sent_at) as first_sent_at,
    max(sent_at) as last_sent_at,
    min(opened_at) as first_opened_at,
    min(clicked_at) as first_clicked_at,
    min(complained_at) as complained_at,
    min(opted_out_at) as opted_out_at
from core.deliveries
-- A journey's and a transactional message have no campaign, a message to nobody known has no endpoint.
where campaign_id is not null and coalesce(endpoint_id, '') <> ''
group by app_id, campaign_id, endpoint_id
