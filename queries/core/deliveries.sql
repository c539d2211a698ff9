-- One row per app_id, channel, message and endpoint.
-- Opens and clicks are people's; those of machines stand beside them. Moments are the first of their kind.
with
facts as (
    select
        *,
        case
            -- An e-mail of which anything is known but that it could not be written was sent when it says.
            when channel = 'EMAIL' and fact not in ('decision', 'rendering_failure') then message_sent_at
            when fact in ('send', 'buffered', 'displayed') or (channel = 'SMS' and fact in ('delivered', 'failure')) then happened_at
        end as sent_at,
        case
            when fact in ('delivered', 'displayed') then happened_at
            -- Handed over is all that is ever known of a push, a voice or a custom message.
            when fact = 'send' and channel is distinct from 'EMAIL' then happened_at
        end as delivered_at,
        -- Of one moment, what took the message back has the last word, and what is for good is later than what may pass.
        case fact
            when 'delivered' then 1
            when 'displayed' then 1
            when 'softbounce' then 2
            when 'hardbounce' then 3
            when 'rejected' then 4
            when 'rendering_failure' then 4
            when 'failure' then 5
            else 0
        end as word_no
    from core.message_facts
)

select
    app_id,
    channel,
    message_key,
    endpoint_id,
    max(user_id) as user_id,
    -- Who answers a text to opt out does so by a message of their own.
    coalesce(max(message_id) filter (fact <> 'optout' or channel = 'EMAIL'), max(message_id)) as message_id,
    max(campaign_id) as campaign_id,
    max(campaign_activity_id) as campaign_activity_id,
    max(treatment_id) as treatment_id,
    max(journey_id) as journey_id,
    max(journey_run_id) as journey_run_id,
    max(journey_activity_id) as journey_activity_id,
    -- Of one moment the order is that of the texts, so that the order of records changes nothing; arg_max passes over what is null.
    arg_max(send_status, (happened_at, send_status)) as send_status,
    min(happened_at) filter (send_status is not null) as decided_at,
    min(sent_at) as sent_at,
    min(delivered_at) as delivered_at,
    min(happened_at) filter (fact = 'received') as received_at,
    min(happened_at) filter (fact = 'open' and not is_machine) as opened_at,
    min(happened_at) filter (fact = 'open' and is_machine) as machine_opened_at,
    count(*) filter (fact = 'open' and not is_machine) as open_count,
    count(*) filter (fact = 'open' and is_machine) as machine_open_count,
    arg_min(machine_reason, (happened_at, machine_reason)) filter (fact = 'open') as machine_open_reason,
    min(happened_at) filter (fact = 'click' and not is_machine) as clicked_at,
    min(happened_at) filter (fact = 'click' and is_machine) as machine_clicked_at,
    count(*) filter (fact = 'click' and not is_machine) as click_count,
    count(*) filter (fact = 'click' and is_machine) as machine_click_count,
    arg_min(machine_reason, (happened_at, machine_reason)) filter (fact = 'click') as machine_click_reason,
    min(happened_at) filter (fact in ('hardbounce', 'softbounce')) as bounced_at,
    -- A message that was put off and then refused for good is refused.
    case min(fact) filter (fact in ('hardbounce', 'softbounce')) when 'hardbounce' then 'hard' when 'softbounce' then 'soft' end as bounce_type,
    min(happened_at) filter (fact = 'complaint') as complained_at,
    min(happened_at) filter (fact = 'optout') as opted_out_at,
    count(*) filter (fact = 'optout') as opt_out_count,
    min(happened_at) filter (fact in ('rejected', 'rendering_failure')) as rejected_at,
    min(happened_at) filter (fact = 'failure') as failed_at,
    arg_max(fact_reason, (happened_at, word_no, fact_reason))
        filter (fact in ('hardbounce', 'softbounce', 'rejected', 'failure')) as refusal_reason,
    min(happened_at) filter (fact = 'dismissed') as dismissed_at,
    case arg_max(fact, (happened_at, word_no)) filter (fact in ('delivered', 'displayed', 'hardbounce', 'softbounce', 'rejected', 'rendering_failure', 'failure'))
        when 'displayed' then 'delivered'
        when 'hardbounce' then 'bounced'
        when 'softbounce' then 'bounced'
        when 'rendering_failure' then 'rejected'
        when 'failure' then 'failed'
        when 'delivered' then 'delivered'
        when 'rejected' then 'rejected'
        else
            case
                when min(delivered_at) is not null then 'delivered'
                when min(sent_at) is not null then 'sent'
                when arg_max(send_status, (happened_at, send_status)) = 'SUCCESS' then 'accepted'
                else 'held'
            end
    end as outcome,
    arg_max(record_status, (happened_at, word_no, record_status)) as record_status,
    max(country) as country,
    max(message_type) as message_type,
    max(parts) as parts,
    max(price_millicents) as price_millicents
from facts
group by app_id, channel, message_key, endpoint_id
