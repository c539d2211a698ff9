-- One row per app_id and endpoint that is in core.endpoints more than once.
-- Severity: fail
select app_id, endpoint_key, count(*) as row_count
from core.endpoint_facts
group by app_id, endpoint_key
-- Once is as it should be.
having count(*) > 1
