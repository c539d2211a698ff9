-- One row per app_id, channel, message and endpoint that was sent, or of which an answer shows that it was.
-- What KPIs of messages count, numerators and denominators alike. Clock: when the message was sent, else the first answer. Zone: the app's.
-- Opens and clicks are everybody's, as Pinpoint counted them; those of people stand beside them.
with
dated as (
    select *, coalesce(sent_at, least(received_at, opened_at, clicked_at, opted_out_at)) as message_at
    from core.deliveries
)

select
    dated.app_id,
    dated.channel,
    dated.endpoint_id,
    dated.message_at,
    local_date(dated.message_at, coalesce(settings.app_zones[dated.app_id], settings.report_zone)) as message_date,
    case
        when dated.campaign_id is not null then 'campaign'
        when dated.journey_id is not null then 'journey'
        else 'transactional'
    end as source,
    dated.campaign_id,
    dated.campaign_activity_id,
    -- A campaign without a test has the one treatment 0.
    coalesce(dated.treatment_id, '0') as treatment_id,
    dated.journey_id,
    dated.journey_activity_id,
    dated.sent_at is not null as is_sent,
    dated.sent_at is not null and dated.delivered_at is not null as is_delivered_reported,
    dated.sent_at is not null and dated.bounce_type is distinct from 'hard' and dated.failed_at is null as is_delivered_unless_hardbounced,
    dated.sent_at is not null and coalesce(dated.bounced_at, dated.rejected_at, dated.failed_at) is null as is_delivered_unless_bounced,
    coalesce(dated.bounce_type = 'hard', false) as is_hardbounced,
    coalesce(dated.bounce_type = 'soft', false) as is_softbounced,
    dated.sent_at is not null and dated.rejected_at is not null as is_rejected,
    dated.complained_at is not null as is_complained,
    dated.opt_out_count,
    dated.failed_at is not null as is_failed,
    dated.open_count + dated.machine_open_count > 0 as is_opened,
    dated.open_count > 0 as is_opened_by_people,
    dated.click_count + dated.machine_click_count as click_count,
    dated.click_count as people_click_count,
    coalesce(dated.country, 'unknown') as country,
    coalesce(dated.record_status, 'UNKNOWN') as record_status,
    -- A text of which nobody says how many parts it had was one.
    case when dated.channel = 'SMS' then coalesce(dated.parts, 1) end as parts,
    coalesce(dated.price_millicents, 0) as price_millicents
from dated
cross join settings
-- What was held back, or is still to be sent, was no message to anybody.
where dated.message_at is not null
