-- One row per dead letter that was replayed.
with
steps as (
    select * from staging.dead_letter_replays
),

replays as (
    select
        replay_id,
        chunk_id,
        origin_topic_id,
        origin_partition,
        origin_offset,
        topic,
        sent_topic_id,
        max(sent_partition) as sent_partition,
        max(sent_offset) as sent_offset,
        reason,
        fix_hash,
        payload_hash_before,
        payload_hash_after,
        min(replayed_at) filter (step = 'begun') as begun_at,
        min(replayed_at) filter (step = 'sent') as sent_at
    from steps
    group by all
),

rows_landed as (
    select event_id, _topic_id, _partition, _offset from staging.events
    union all
    select update_id as event_id, _topic_id, _partition, _offset from staging.endpoint_updates
),

landed as (
    select _topic_id as sent_topic_id, _partition as sent_partition, _offset as sent_offset, event_id
    from rows_landed
    semi join replays on _topic_id = replays.sent_topic_id and _partition = replays.sent_partition and _offset = replays.sent_offset
),

dead_again as (
    select _topic_id as sent_topic_id, _partition as sent_partition, _offset as sent_offset, event_id, reason as reason_again
    from staging.dead_letters
    -- Only what was replayed says where it came from.
    where origin is not null
)

select
    replays.*,
    case
        when sent_at is null then 'begun'
        when landed.sent_offset is not null then 'landed'
        when dead_again.sent_offset is not null then 'dead again'
        else 'sent'
    end as state,
    coalesce(landed.event_id, dead_again.event_id) as event_id,
    dead_again.reason_again
from replays
left join landed using (sent_topic_id, sent_partition, sent_offset)
left join dead_again using (sent_topic_id, sent_partition, sent_offset)
