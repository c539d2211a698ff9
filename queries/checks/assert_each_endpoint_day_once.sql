-- One row per app_id, endpoint_id and day that core.endpoint_days does not have once, as its activity events say.
-- Severity: fail
-- The days are counted from the events that landed, by the definition.
with
quarters as (
    select distinct app_id, endpoint_id, epoch_ms(event_timestamp) // 900000 * 900 as quarter_secs
    from staging.events
    -- What these families say happened to an endpoint, which makes it not active.
    where coalesce(endpoint_id, '') <> ''
      and split_part(lower(event_type), '.', 1) not in ('_email', '_sms', '_campaign', '_journey')
),

active as (
    select distinct app_id, endpoint_id, (to_timestamp(quarter_secs) at time zone app_zone(app_id))::date as activity_date
    from quarters
),

days as (
    select app_id, endpoint_id, activity_date, count(*) as row_count
    from core.endpoint_days
    group by all
)

select
    coalesce(active.app_id, days.app_id) as app_id,
    coalesce(active.endpoint_id, days.endpoint_id) as endpoint_id,
    coalesce(active.activity_date, days.activity_date) as activity_date,
    active.app_id is not null as is_active,
    coalesce(days.row_count, 0) as row_count
from active
full join days
    on active.app_id = days.app_id and active.endpoint_id = days.endpoint_id and active.activity_date = days.activity_date
-- Active, and there once.
where active.app_id is null or days.row_count is distinct from 1
