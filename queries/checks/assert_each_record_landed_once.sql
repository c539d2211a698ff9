-- One row per Kafka position (topic, partition, offset) that is in the lake more than once, in one table or in two.
-- Severity: fail
with
positions as (
    select _topic_id, _partition, _offset, 'events' as lake_table from staging.events
    union all
    select _topic_id, _partition, _offset, 'endpoint_updates' as lake_table from staging.endpoint_updates
    union all
    select _topic_id, _partition, _offset, 'dead_letters' as lake_table from staging.dead_letters
)

select
    _topic_id,
    _partition,
    _offset,
    count(*) as row_count,
    list_sort(list_distinct(list(lake_table))) as lake_tables
from positions
group by _topic_id, _partition, _offset
-- Once is as it should be.
having count(*) > 1
