-- One row per event that says what became of a message.
-- queries/README.md says what each fact is, what makes two of them one message's, and when an open or a click is a machine's.
with
types as (
    select *
    from (
        values
            -- A decision names its channel itself.
            ('_campaign.send', 'decision', null),
            ('_journey.send', 'decision', null),
            ('_campaign.opened_notification', 'open', 'PUSH'),
            ('_journey.opened_notification', 'open', 'PUSH'),
            ('_campaign.received_foreground', 'received', 'PUSH'),
            ('_campaign.received_background', 'received', 'PUSH'),
            ('_journey.received_foreground', 'received', 'PUSH'),
            ('_journey.received_background', 'received', 'PUSH'),
            ('_email.send', 'send', 'EMAIL'),
            ('_email.delivered', 'delivered', 'EMAIL'),
            ('_email.open', 'open', 'EMAIL'),
            ('_email.click', 'click', 'EMAIL'),
            ('_email.hardbounce', 'hardbounce', 'EMAIL'),
            ('_email.softbounce', 'softbounce', 'EMAIL'),
            ('_email.complaint', 'complaint', 'EMAIL'),
            ('_email.unsubscribe', 'optout', 'EMAIL'),
            ('_email.rejected', 'rejected', 'EMAIL'),
            ('_email.rendering_failure', 'rendering_failure', 'EMAIL'),
            ('_SMS.BUFFERED', 'buffered', 'SMS'),
            ('_SMS.SEND', 'buffered', 'SMS'),
            ('_SMS.SUCCESS', 'delivered', 'SMS'),
            ('_SMS.FAILURE', 'failure', 'SMS'),
            ('_SMS.OPTOUT', 'optout', 'SMS'),
            ('_inapp.message_displayed', 'displayed', 'IN_APP'),
            ('_inapp.message_clicked', 'click', 'IN_APP'),
            ('_inapp.message_dismissed', 'dismissed', 'IN_APP')
    ) as known (fact_type, named_fact, type_channel)
),

events as not materialized (
    select
        events.*,
        types.named_fact,
        coalesce(events.channel, types.type_channel) as message_channel,
        coalesce(nullif(attributes['campaign_send_status'], ''), nullif(attributes['journey_send_status'], '')) as send_status
    from core.events
    -- Whatever else happened is no message's.
    inner join types on lower(events.event_type) = lower(types.fact_type)
),

told as not materialized (
    select
        event_id,
        event_type,
        app_id,
        endpoint_id,
        user_id,
        message_channel as channel,
        -- The decision of a run, which knows no message_id, and what followed belong together.
        coalesce(
            'run:' || nullif(campaign_activity_id, ''),
            'run:' || nullif(journey_run_id, '') || ':' || nullif(journey_activity_id, ''),
            'message:' || nullif(message_id, ''),
            'campaign:' || nullif(campaign_id, '') || ':' || coalesce(nullif(session_id, ''), epoch_ms(event_timestamp)::varchar),
            'sent:' || epoch_ms(event_timestamp)
        ) as message_key,
        message_id,
        case
            when named_fact = 'decision' and send_status = 'SUCCESS' and message_channel not in ('EMAIL', 'SMS') then 'send'
            else named_fact
        end as fact,
        occurred_at as happened_at,
        arrival_timestamp,
        -- Of every e-mail event, event_timestamp is when the message was sent.
        case when message_channel = 'EMAIL' then event_timestamp end as message_sent_at,
        campaign_id,
        campaign_activity_id,
        treatment_id,
        journey_id,
        journey_run_id,
        journey_activity_id,
        send_status,
        case when message_channel = 'SMS' then attributes['record_status'] end as record_status,
        case when message_channel = 'SMS' then attributes['iso_country_code'] end as country,
        case when message_channel = 'SMS' then attributes['message_type'] end as message_type,
        -- An answer may be longer than the text.
        case when message_channel = 'SMS' and named_fact <> 'optout' then try_cast(attributes['number_of_message_parts'] as integer) end as parts,
        case when message_channel = 'SMS' then metrics['price_in_millicents_usd'] end as price_millicents,
        case named_fact
            when 'open' then try(facets ->> '$.email_channel.mail_event.open.user_agent')
            when 'click' then try(facets ->> '$.email_channel.mail_event.click.user_agent')
        end as reader_agent,
        case named_fact
            when 'open' then try(facets ->> '$.email_channel.mail_event.open.ip_address')
            when 'click' then try(facets ->> '$.email_channel.mail_event.click.ip_address')
        end as reader_address,
        case named_fact when 'click' then try(facets ->> '$.email_channel.mail_event.click.link') end as link,
        case
            when named_fact in ('hardbounce', 'softbounce') then try(facets ->> '$.email_channel.mail_event.bounce.bounce_sub_type')
            when named_fact = 'complaint' then try(facets ->> '$.email_channel.mail_event.complaint.complaint_feedback_type')
            when named_fact = 'rejected' then try(facets ->> '$.email_channel.mail_event.reject.reason')
            when named_fact = 'failure' then attributes['record_status']
        end as fact_reason,
        nullif(attributes['campaign_name'], '') as campaign_name,
        nullif(attributes['treatment_name'], '') as treatment_name,
        nullif(attributes['journey_name'], '') as journey_name,
        traffic,
        _topic_id,
        _partition,
        _offset
    from events
),

run_messages as (
    select app_id, endpoint_id, channel, message_key, message_id, min(coalesce(message_sent_at, happened_at)) as first_at
    from told
    where starts_with(message_key, 'run:') and message_id <> ''
    group by all
    -- Who answers a text to opt out sends a message of their own: its id names none of the run's.
    having bool_or(fact <> 'optout' or channel = 'EMAIL')
),

-- What a run sends an endpoint after the first message; mostly nothing.
later_messages as materialized (
    select
        * exclude (first_at),
        row_number() over (partition by app_id, endpoint_id, channel, message_key order by first_at, message_id) as message_no
    from run_messages
    -- The first message is the run's, and the decision's.
    qualify message_no > 1
),

facts as not materialized (
    select told.* replace (told.message_key || coalesce(':message:' || later_messages.message_no, '') as message_key)
    from told
    left join later_messages
        on told.app_id = later_messages.app_id
        and told.endpoint_id is not distinct from later_messages.endpoint_id
        and told.channel is not distinct from later_messages.channel
        and told.message_key = later_messages.message_key
        and told.message_id = later_messages.message_id
),

deliveries as (
    select app_id, endpoint_id, message_key, min(arrival_timestamp) as delivered_at
    from facts
    -- Only readers of e-mail are told apart.
    where fact = 'delivered' and channel = 'EMAIL'
    group by all
),

readings as (
    select
        facts.*,
        deliveries.delivered_at,
        -- What a burst touches one after the other: links with clicks, messages from several addresses with opens.
        coalesce(case fact when 'click' then link else reader_address end, '') as touched
    from facts
    left join deliveries
        on facts.app_id = deliveries.app_id
        and facts.endpoint_id is not distinct from deliveries.endpoint_id
        and facts.message_key = deliveries.message_key
    -- Opens and clicks of e-mails are the ones that machines make.
    where facts.channel = 'EMAIL' and facts.fact in ('open', 'click')
),

agents as (
    select seen.reader_agent, min(machine_agents.reason) as reason
    from (select distinct reader_agent from readings) as seen
    inner join core.machine_agents on seen.reader_agent ilike machine_agents.agent_pattern
    group by seen.reader_agent
),

bursts as (
    select *, min(touched) over near_by <> max(touched) over near_by as is_burst
    from readings
    window near_by as (
        partition by app_id, endpoint_id, message_key, fact
        order by happened_at
        range between interval 1 second preceding and interval 1 second following
    )
),

reasoned as (
    select
        bursts.* exclude (delivered_at, touched, is_burst),
        case
            when not settings.machine_opens_enabled then null
            -- Without an arrival nobody knows when the message was read, and the agent alone tells.
            when agents.reason = 'prefetch' or arrival_timestamp < delivered_at then 'prefetch'
            when agents.reason = 'proxy' then 'proxy'
            when epoch_ms(arrival_timestamp) - epoch_ms(message_sent_at) <= settings.machine_open_secs * 1000 then 'within_secs'
            when is_burst and arrival_timestamp is not null then 'burst'
        end as machine_reason
    from bursts
    left join agents using (reader_agent)
    cross join settings
)

select *, null::varchar as machine_reason, false as is_machine
from facts
-- The others are judged above.
where channel is distinct from 'EMAIL' or fact not in ('open', 'click')
union all by name
select *, machine_reason is not null as is_machine
from reasoned
