-- One row per campaign or journey and channel with messages that somebody opted out of, and of which no send is known.
-- Severity: warn
-- No rate of opt-outs has them, though core.treatments does: an answer names another campaign than the text did, or none of its runs, or no send came.
select app_id, channel, campaign_id, journey_id, count(*) as opted_out_count, min(message_key) as for_example
from core.deliveries
-- Sent, or not opted out of; who answers a transactional text does so by a message of which no text is known.
where sent_at is null and opted_out_at is not null and (campaign_id is not null or journey_id is not null)
group by app_id, channel, campaign_id, journey_id
