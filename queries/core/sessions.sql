-- One row per app_id, endpoint_id and session_id.
-- The definition stands in queries/README.md: the client's session where it names one, else by silence.
with
activity as (
    select
        app_id,
        endpoint_id,
        user_id,
        event_type,
        event_timestamp,
        nullif(session_id, '') as client_session_id,
        platform,
        app_version_name,
        country,
        traffic
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
    window endpoint_events as (partition by app_id, endpoint_id order by event_timestamp, client_session_id nulls last)
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
),

assigned as (
    select
        *,
        last_value(opened_session_id ignore nulls) over endpoint_events as session_id
    from openings
    window endpoint_events as (
        partition by app_id, endpoint_id
        order by event_timestamp, client_session_id nulls last
        rows between unbounded preceding and current row
    )
)

select
    session_id,
    app_id,
    endpoint_id,
    arg_max(user_id, event_timestamp) as user_id,
    min(event_timestamp) as started_at,
    max(event_timestamp) as stopped_at,
    (min(event_timestamp) at time zone 'UTC')::date as session_date,
    (epoch_ms(max(event_timestamp)) - epoch_ms(min(event_timestamp))) / 1000 as duration_secs,
    count(*) as event_count,
    count(*) filter (event_type = '_monetization.purchase') as purchase_count,
    bool_or(event_type = '_session.start') as has_start,
    bool_or(event_type = '_session.stop') as has_stop,
    bool_and(client_session_id is null) as is_derived,
    arg_max(platform, event_timestamp) as platform,
    arg_max(app_version_name, event_timestamp) as app_version_name,
    arg_max(country, event_timestamp) as country,
    max(traffic) as traffic
from assigned
group by app_id, endpoint_id, session_id
