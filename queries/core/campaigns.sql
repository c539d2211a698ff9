-- One row per app_id and campaign_id that messages name.
with
names as (
    select app_id, campaign_id, arg_max(campaign_name, happened_at) as campaign_name
    from core.message_facts
    -- The stream knows ids; names only where the sender adds them.
    where campaign_name is not null
    group by all
),

runs as (
    select
        app_id,
        campaign_id,
        list_sort(list(distinct channel)) as channels,
        count(distinct campaign_activity_id) as run_count,
        count(distinct coalesce(treatment_id, '0')) as treatment_count,
        count(distinct endpoint_id) as endpoint_count,
        count(distinct endpoint_id) filter (send_status = 'HOLDOUT') as held_out_count,
        count(sent_at) as sent_count,
        min(coalesce(decided_at, sent_at)) as first_decided_at,
        min(sent_at) as first_sent_at,
        max(sent_at) as last_sent_at
    from core.deliveries
    -- A journey's and a transactional message have no campaign.
    where campaign_id is not null
    group by all
)

select runs.app_id, runs.campaign_id, coalesce(names.campaign_name, runs.campaign_id) as campaign_name, runs.* exclude (app_id, campaign_id)
from runs
left join names using (app_id, campaign_id)
