-- One row per app_id, channel and kind of fact that happened more than FUTURE_SECS before the message was sent.
-- Severity: warn
-- Clocks of senders and readers differ a little; by more, times to open mean nothing.
select
    deliveries.app_id,
    deliveries.channel,
    facts.fact,
    count(*) as fact_count,
    max(epoch(deliveries.sent_at) - epoch(facts.happened_at)) as secs_before_max,
    min(facts.event_id) as for_example
from core.deliveries as deliveries
inner join core.message_facts as facts
    on facts.app_id = deliveries.app_id
    and facts.channel is not distinct from deliveries.channel
    and facts.message_key = deliveries.message_key
    and facts.endpoint_id is not distinct from deliveries.endpoint_id
cross join settings
-- A decision comes before what it decides.
where facts.fact <> 'decision' and epoch(deliveries.sent_at) - epoch(facts.happened_at) > settings.future_secs
group by all
