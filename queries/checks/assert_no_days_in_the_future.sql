-- One row per app_id and day with events that bear a day which had not come when they landed.
-- Severity: warn
-- An endpoint's clock may be ahead by FUTURE_SECS; beyond that a day gets events before it begins, and the newest day of a chart is not today.
select
    events.app_id,
    (events.event_timestamp at time zone 'UTC')::date as future_date,
    count(*) as event_count,
    count(distinct events.endpoint_id) as endpoint_count
from core.events as events
cross join settings
-- A day that began within the allowance is no future.
where events.is_future
  and (events.event_timestamp at time zone 'UTC')::date > (to_timestamp(epoch(events._appended_at) + settings.future_secs) at time zone 'UTC')::date
group by events.app_id, future_date
