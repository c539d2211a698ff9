-- One row per app_id and journey_id that messages name.
with
names as (
    select app_id, journey_id, arg_max(journey_name, (happened_at, journey_name)) as journey_name
    from core.message_facts
    -- The stream knows ids; names only where the sender adds them.
    where journey_name is not null
    group by all
),

runs as (
    select
        app_id,
        journey_id,
        list_sort(list(distinct channel)) as channels,
        count(distinct journey_run_id) as run_count,
        count(distinct journey_activity_id) as activity_count,
        count(distinct nullif(endpoint_id, '')) as endpoint_count,
        count(sent_at) as sent_count,
        min(coalesce(decided_at, sent_at)) as first_decided_at,
        min(sent_at) as first_sent_at,
        max(sent_at) as last_sent_at
    from core.deliveries
    -- A campaign's and a transactional message have no journey.
    where journey_id is not null
    group by all
)

select runs.app_id, runs.journey_id, coalesce(names.journey_name, runs.journey_id) as journey_name, runs.* exclude (app_id, journey_id)
from runs
left join names using (app_id, journey_id)
