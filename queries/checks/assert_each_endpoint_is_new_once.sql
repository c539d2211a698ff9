-- One row per app_id and endpoint_id that is not new on one day, its first.
-- Severity: fail
-- What this guards is the SQL of core.endpoint_days, which marks the first day itself: no event can make it return a row.
select
    app_id,
    endpoint_id,
    count(*) filter (is_new) as new_count,
    min(activity_date) as first_date,
    min(activity_date) filter (is_new) as new_date
from core.endpoint_days
group by app_id, endpoint_id
-- New once, on the first day.
having count(*) filter (is_new) <> 1 or min(activity_date) is distinct from min(activity_date) filter (is_new)
