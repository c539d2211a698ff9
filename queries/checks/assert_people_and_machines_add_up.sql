-- One row per app_id whose opens or clicks of deliveries, people's and machines' together, are not the events that there are.
-- Severity: fail
with
events as (
    select
        app_id,
        count(*) filter (lower(event_type) in ('_email.open', '_campaign.opened_notification', '_journey.opened_notification')) as open_count,
        count(*) filter (lower(event_type) in ('_email.click', '_inapp.message_clicked')) as click_count
    from core.events
    group by app_id
),

deliveries as (
    select
        app_id,
        sum(open_count + machine_open_count)::bigint as open_count,
        sum(click_count + machine_click_count)::bigint as click_count
    from core.deliveries
    group by app_id
)

select
    events.app_id,
    events.open_count as open_events,
    coalesce(deliveries.open_count, 0) as opens,
    events.click_count as click_events,
    coalesce(deliveries.click_count, 0) as clicks
from events
left join deliveries using (app_id)
-- Each event is somebody's or something's, once.
where events.open_count <> coalesce(deliveries.open_count, 0) or events.click_count <> coalesce(deliveries.click_count, 0)
