-- One row per app_id and user_id that has an endpoint.
select
    app_id,
    user_id,
    arg_max(user_attributes, updated_at) as user_attributes,
    count(*) as endpoint_count,
    count(*) filter (where endpoint_status = 'ACTIVE') as active_endpoint_count,
    min(creation_date) as created_at,
    max(updated_at) as updated_at
from core.endpoints
-- An endpoint may have nobody behind it.
where user_id is not null
group by app_id, user_id
