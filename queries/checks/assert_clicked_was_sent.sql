-- One row per app_id and channel with messages that were clicked, by people or machines, and of which no send is known.
-- Severity: warn
select app_id, channel, count(*) as clicked_count, min(message_key) as for_example
from core.deliveries
-- Sent, or not clicked.
where sent_at is null and coalesce(clicked_at, machine_clicked_at) is not null
group by app_id, channel
