-- One row per event: the campaign or journey that caused it, its message and its channel.
with addressed as (
    select
        *,
        -- An app's own event may have a message_id or a delivery_type of its own, which means something else.
        starts_with(event_type, '_') as is_standard,
        case
            when is_standard
                then upper(
                    coalesce(
                        nullif(attribute_delivery_type, ''),
                        nullif(attribute_journey_activity_type, ''),
                        case lower(split_part(event_type, '.', 1)) when '_email' then 'EMAIL' when '_sms' then 'SMS' when '_inapp' then 'IN_APP' end,
                        -- Only pushes are reported as opened or received.
                        case when regexp_matches(event_type, '\.(opened_notification|received_(fore|back)ground)$') then 'PUSH' end,
                        case when regexp_matches(event_type, '^_(campaign|journey)\.') then try(endpoint ->> '$.ChannelType') end
                    )
                )
        end as sent_channel
    from input
)
select
    * exclude (is_standard, sent_channel) replace (
        nullif(attribute_campaign_id, '') as campaign_id,
        nullif(attribute_campaign_activity_id, '') as campaign_activity_id,
        nullif(attribute_treatment_id, '') as treatment_id,
        nullif(attribute_journey_id, '') as journey_id,
        nullif(attribute_journey_run_id, '') as journey_run_id,
        nullif(attribute_journey_activity_id, '') as journey_activity_id,
        case
            when is_standard
                then coalesce(
                    nullif(attribute_message_id, ''), nullif(try(facets ->> '$.email_channel.mail_event.mail.message_id'), '')
                )
        end as message_id,
        case
            when sent_channel in ('APNS', 'APNS_SANDBOX', 'APNS_VOIP', 'APNS_VOIP_SANDBOX', 'GCM', 'ADM', 'BAIDU') then 'PUSH'
            when sent_channel = 'INAPP' then 'IN_APP'
            else sent_channel
        end as channel
    )
from addressed
