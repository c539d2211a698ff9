-- One row per endpoint and user that is not deleted, and per removal of attributes, after all updates.
-- As they are stored; core.endpoints and core.users show them.
with
merges as (
    select *, case kind when 'endpoint' then endpoint_key when 'user' then user_id else removed_name end as state_key
    from core.endpoint_merges
)

select * exclude (is_deleted, state_key)
from merges
-- What is deleted is no more.
where not is_deleted
union all by name
select states.*
from staging.endpoint_states as states
anti join merges
    on states.kind = merges.kind
    and states.app_id = merges.app_id
    and case states.kind when 'endpoint' then states.endpoint_key when 'user' then states.user_id end = merges.state_key
-- How far partitions are merged is no state of anything.
where states.kind <> 'covered'
