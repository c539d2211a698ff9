-- One row per session that lasts less than nothing, or not as long as lies between its first and last event.
-- Severity: fail
-- What this guards is the SQL of core.sessions, which computes all three columns: no event can make it return a row.
select app_id, endpoint_id, session_id, started_at, stopped_at, duration_secs
from core.sessions
-- All that is known of these is as it should be.
where coalesce(duration_secs < 0 or abs(duration_secs - (epoch_ms(stopped_at) - epoch_ms(started_at)) / 1000) > 0.001, true)
