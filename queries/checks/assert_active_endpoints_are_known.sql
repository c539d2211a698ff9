-- One row per app_id with endpoints that were active on its newest day and that no update is known of, more than one in a hundred.
-- Severity: warn
-- They are counted, and cannot be reached: their updates did not come, or they were deleted and live on.
with
apps as (
    select distinct app_id from core.endpoint_facts
),

newest as (
    select days.app_id, max(days.activity_date) as activity_date
    from core.endpoint_days as days
    cross join (select max((_appended_at at time zone 'UTC')::date) as appended_date from staging.events) as landed
    -- An app that sends no endpoints has none to be known; days of clocks that are ahead are not over.
    where days.app_id in (from apps) and days.activity_date <= landed.appended_date
    group by days.app_id
),

active as (
    select days.app_id, days.activity_date, days.endpoint_id, facts.endpoint_key is not null as is_known
    from core.endpoint_days as days
    inner join newest using (app_id, activity_date)
    left join core.endpoint_facts as facts on facts.app_id = days.app_id and facts.endpoint_key = lower(days.endpoint_id)
)

select
    app_id,
    activity_date,
    count(*) as endpoint_count,
    count(*) filter (not is_known) as unknown_count,
    min(endpoint_id) filter (not is_known) as for_example
from active
group by app_id, activity_date
-- Some updates are still on their way.
having count(*) filter (not is_known) * 100 > count(*)
