-- One row per app_id and campaign_id that messages name.
with
names as (
    select app_id, campaign_id, arg_max(campaign_name, (happened_at, campaign_name)) as campaign_name
    from core.message_facts
    -- The stream knows ids; names only where the sender adds them.
    where campaign_name is not null
    group by all
),

deliveries as materialized (
    select
        app_id, campaign_id, nullif(endpoint_id, '') as endpoint_id, channel, campaign_activity_id, treatment_id, send_status, decided_at, sent_at
    from core.deliveries
    -- A journey's and a transactional message have no campaign.
    where campaign_id is not null
),

runs as (
    select
        app_id,
        campaign_id,
        list_sort(list(distinct channel)) as channels,
        count(distinct campaign_activity_id) as run_count,
        count(distinct coalesce(treatment_id, '0')) as treatment_count,
        count(distinct endpoint_id) as endpoint_count,
        count(sent_at) as sent_count,
        min(coalesce(decided_at, sent_at)) as first_decided_at,
        min(sent_at) as first_sent_at,
        max(sent_at) as last_sent_at
    from deliveries
    group by all
),

held_out as (
    select app_id, campaign_id, count(*) as held_out_count
    from (
        select app_id, campaign_id, endpoint_id
        from deliveries
        -- core.campaign_endpoints.is_held_out, which is not asked since it would add up all deliveries once more.
        where endpoint_id is not null and send_status in ('SUCCESS', 'HOLDOUT')
        group by all
        having arg_min(send_status, (decided_at, send_status)) = 'HOLDOUT'
    )
    group by all
)

select
    runs.app_id,
    runs.campaign_id,
    coalesce(names.campaign_name, runs.campaign_id) as campaign_name,
    runs.channels,
    runs.run_count,
    runs.treatment_count,
    runs.endpoint_count,
    coalesce(held_out.held_out_count, 0) as held_out_count,
    runs.sent_count,
    runs.first_decided_at,
    runs.first_sent_at,
    runs.last_sent_at
from runs
left join names using (app_id, campaign_id)
left join held_out using (app_id, campaign_id)
