-- One row per app_id and channel with deliveries that were delivered and never sent: delivered would be more than sent.
-- Severity: fail
select
    app_id,
    channel,
    count(sent_at) as sent_count,
    count(delivered_at) as delivered_count,
    count(*) filter (delivered_at is not null and sent_at is null) as unsent_count
from core.deliveries
group by app_id, channel
-- Whatever arrived was sent.
having count(*) filter (delivered_at is not null and sent_at is null) > 0
