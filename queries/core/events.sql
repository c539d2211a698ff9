-- One row per event.
with
events as (
    select
        *,
        -- Of an e-mail event, event_timestamp is when the message was sent, whatever the event is.
        case when regexp_matches(event_type, '^_email\.', 'i') then coalesce(arrival_timestamp, event_timestamp) else event_timestamp end as occurred_at
    from staging.events
),

limits as (
    select
        late_hours * 3600 * 1000 as late_ms,
        future_secs * 1000 as future_ms,
        report_zone,
        app_zones
    from settings
)

select
    events.*,
    -- What the endpoint did itself; the families named here happened to it.
    coalesce(events.endpoint_id, '') <> ''
    and not regexp_matches(events.event_type, '^_(email|sms|campaign|journey)\.', 'i') as is_activity,
    epoch_ms(events._appended_at) - epoch_ms(events.occurred_at) > limits.late_ms as is_late,
    epoch_ms(events.occurred_at) - epoch_ms(events._appended_at) > limits.future_ms as is_future,
    local_date(events.event_timestamp, coalesce(limits.app_zones[events.app_id], limits.report_zone)) as event_date
from events
cross join limits
