-- One row per session by gap that begins before the one before it, of the same endpoint, has ended.
-- Severity: fail
-- Sessions that a client names may overlap: two windows are open at once.
with
sessions as (
    select
        app_id,
        endpoint_id,
        session_id,
        started_at,
        max(stopped_at) over (
            partition by app_id, endpoint_id order by started_at, session_id rows between unbounded preceding and 1 preceding
        ) as stopped_before_at
    from core.sessions
    -- Made by silence alone.
    where is_derived
)

select app_id, endpoint_id, session_id, started_at, stopped_before_at
from sessions
-- After it, as it should be.
where started_at <= stopped_before_at
