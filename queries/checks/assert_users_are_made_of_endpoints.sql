-- One row per app_id and user_id whose number of endpoints differs between core.users and core.endpoints.
-- Severity: fail
-- core.users groups core.endpoints: what this guards is their SQL, no update can make it return a row.
with
owners as (
    select app_id, user_id, count(*) as endpoint_count, count(*) filter (endpoint_status = 'ACTIVE') as active_count
    from core.endpoint_facts
    -- An endpoint may have nobody behind it.
    where user_id is not null
    group by app_id, user_id
),

users as (
    select app_id, user_id, sum(endpoint_count)::bigint as endpoint_count, sum(active_endpoint_count)::bigint as active_count
    from core.users
    group by app_id, user_id
)

select app_id, user_id, users.endpoint_count as endpoints_of_user, owners.endpoint_count as endpoints
from users
full join owners using (app_id, user_id)
-- Each endpoint has its user, and each user its endpoints.
where users.endpoint_count is distinct from owners.endpoint_count or users.active_count is distinct from owners.active_count
