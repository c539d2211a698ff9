-- One row per silence within a session by gap that is longer than SESSION_GAP_MINS.
-- Severity: fail
with
silences as (
    select
        app_id,
        endpoint_id,
        event_timestamp as ended_at,
        lag(event_timestamp) over (partition by app_id, endpoint_id order by event_timestamp) as began_at
    from core.events
    -- Sessions are made of activity alone.
    where is_activity
),

long_silences as (
    select silences.*
    from silences
    cross join settings
    -- The others end no session.
    where epoch_ms(silences.ended_at) - epoch_ms(silences.began_at) > settings.session_gap_mins * 60 * 1000
)

select sessions.app_id, sessions.endpoint_id, sessions.session_id, long_silences.began_at, long_silences.ended_at
from core.sessions as sessions
inner join long_silences
    on long_silences.app_id = sessions.app_id
    and long_silences.endpoint_id = sessions.endpoint_id
    and long_silences.began_at >= sessions.started_at
    and long_silences.ended_at <= sessions.stopped_at
-- A client's session lasts however long it is silent.
where sessions.is_derived
