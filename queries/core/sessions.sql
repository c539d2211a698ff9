-- One row per app_id, endpoint_id and session_id.
select
    session_id,
    app_id,
    endpoint_id,
    arg_max(user_id, event_timestamp) as user_id,
    min(event_timestamp) as started_at,
    max(event_timestamp) as stopped_at,
    local_date(min(event_timestamp), app_zone(app_id)) as session_date,
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
from core.session_events
group by app_id, endpoint_id, session_id
