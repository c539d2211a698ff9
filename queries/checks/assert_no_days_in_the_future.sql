-- One row per app_id with events that bear a day which had not come when they landed: how many, of how many endpoints, the first and the last such day (UTC).
-- Severity: warn
-- An endpoint's clock may be ahead by FUTURE_SECS; beyond that a day gets events before it begins. Charts leave such days out, core counts them.
select
    events.app_id,
    count(*) as event_count,
    count(distinct events.endpoint_id) as endpoint_count,
    min((events.event_timestamp at time zone 'UTC')::date) as first_future_date,
    max((events.event_timestamp at time zone 'UTC')::date) as last_future_date
from core.events as events
cross join settings
-- A day that began within the allowance is no future.
where events.is_future
  and (events.event_timestamp at time zone 'UTC')::date > (to_timestamp(epoch(events._appended_at) + settings.future_secs) at time zone 'UTC')::date
group by events.app_id
