-- One row per event of a session.
-- The definition stands in queries/README.md: the client's session where it names one, else by silence. An event that comes late is seen here as if it had come
-- in time: it changes the sessions on both sides of it and no other.
with
activity as (
    select
        app_id,
        endpoint_id,
        user_id,
        event_id,
        event_type,
        event_timestamp,
        nullif(session_id, '') as client_session_id,
        attributes,
        metrics,
        platform,
        app_version_name,
        country,
        traffic,
        _topic_id,
        _partition,
        _offset
    from core.events
    -- What happened to the endpoint opens no session and prolongs none.
    where is_activity
),

limits as (
    select session_gap_mins * 60 * 1000 as gap_ms from settings
),

silences as (
    select
        *,
        epoch_ms(event_timestamp) - lag(epoch_ms(event_timestamp)) over endpoint_events as silence_ms
    from activity
    -- Down to the record: events of one moment that stood in another order below would put one of them into the session before.
    window endpoint_events as (
        partition by app_id, endpoint_id order by event_timestamp, client_session_id nulls last, _topic_id, _partition, _offset
    )
),

openings as (
    select
        silences.*,
        case
            when client_session_id is not null then client_session_id
            when coalesce(silence_ms > limits.gap_ms, true) then 'gap:' || epoch_ms(event_timestamp)
        end as opened_session_id
    from silences
    cross join limits
)

select
    last_value(opened_session_id ignore nulls) over endpoint_events as session_id,
    openings.* exclude (silence_ms, opened_session_id)
from openings
window endpoint_events as (
    partition by app_id, endpoint_id
    order by event_timestamp, client_session_id nulls last, _topic_id, _partition, _offset
    rows between unbounded preceding and current row
)
