-- One row per app_id, channel and address that more than one active endpoint has.
-- Severity: fail
select app_id, channel_type, address, count(*) as endpoint_count, list(endpoint_id order by endpoint_id) as endpoint_ids
from core.endpoint_facts
-- Those that cannot be reached share nothing; an inactive one gets no messages.
where endpoint_status = 'ACTIVE' and channel_type is not null and address is not null
group by app_id, channel_type, address
-- One is as it should be: whoever claims an address turns the others inactive.
having count(*) > 1
