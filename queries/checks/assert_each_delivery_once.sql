-- One row per app_id, channel, message and endpoint that is in core.deliveries more than once.
-- Severity: fail
-- core.deliveries groups by these columns: what this guards is its SQL, no event can make it return a row.
select app_id, channel, message_key, endpoint_id, count(*) as row_count
from core.deliveries
group by app_id, channel, message_key, endpoint_id
-- Once is as it should be.
having count(*) > 1
