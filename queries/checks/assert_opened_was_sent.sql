-- One row per app_id and channel with messages that were opened, by people or machines, and of which no send is known.
-- Severity: warn
-- Their rate would pass 100 %: decisions to send (_campaign.send) do not come, or come from another app.
select app_id, channel, count(*) as opened_count, min(message_key) as for_example
from core.deliveries
-- Sent, or not opened.
where sent_at is null and coalesce(opened_at, machine_opened_at) is not null
group by app_id, channel
