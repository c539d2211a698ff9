-- One row per endpoint update that the snapshot of endpoints does not cover.
-- In the order of acceptance, which update_number counts from 1; what the snapshot says has the number 0.
with
covered as (
    select _topic_id, _partition, max(_offset) as next_offset
    from staging.endpoint_states
    -- How far each partition is merged.
    where kind = 'covered'
    group by all
)

select
    updates.*,
    lower(updates.endpoint_id) as endpoint_key,
    row_number() over (order by updates._appended_at, updates._partition, updates._offset, updates._topic_id) as update_number
from staging.endpoint_updates as updates
left join covered using (_topic_id, _partition)
-- Offsets below the covered one are in the snapshot already.
where updates._offset >= coalesce(covered.next_offset, 0)
