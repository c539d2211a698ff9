-- One row per event that landed again within the dedup window: same app, endpoint, id, type and client's timestamp.
-- Severity: fail
-- Rows mean resends that the stream could not meet: a producer with another partitioner or key, or dedup that was off for a while.
with
events as (
    select
        app_id,
        endpoint_id,
        event_id,
        event_type,
        -- A corrected event comes again with the time that its client had sent.
        coalesce(event_timestamp_as_sent, event_timestamp) as sent_timestamp,
        _appended_at,
        _topic_id,
        _partition,
        _offset,
        hash(app_id, endpoint_id, event_id, event_type, sent_timestamp) as key_hash
    from staging.events
),

limits as (
    select dedup_window_hours * 3600 * 1000 as window_ms
    from settings
    -- With dedup off, resends are meant to land.
    where dedup_enabled
),

-- Eight bytes a key find the candidates; the key itself decides.
candidates as (
    select key_hash from events group by key_hash having count(*) > 1
),

repeats as (
    select
        *,
        lag(_appended_at) over (
            partition by app_id, endpoint_id, event_id, event_type, sent_timestamp order by _appended_at, _topic_id, _partition, _offset
        ) as landed_before_at
    from events
    semi join candidates using (key_hash)
)

select
    repeats.* exclude (key_hash)
from repeats
cross join limits
-- The first copy has none before it; a resend after the window is a new event by definition.
where epoch_ms(repeats._appended_at) - epoch_ms(repeats.landed_before_at) <= limits.window_ms
