-- One row per app_id, campaign_id and treatment_id.
with
names as (
    select app_id, campaign_id, treatment_id, arg_max(treatment_name, (happened_at, treatment_name)) as treatment_name
    from core.message_facts
    -- The stream knows ids; names only where the sender adds them.
    where treatment_name is not null
    group by all
),

treatments as (
    select
        app_id,
        campaign_id,
        -- A campaign without a test has the one treatment 0.
        coalesce(treatment_id, '0') as treatment_id,
        count(*) filter (not is_held_out) as endpoint_count,
        count(*) filter (is_held_out) as held_out_count,
        -- Parts of endpoint_count: what was sent by mistake to one that was held out is no part of it.
        count(*) filter (not is_held_out and sent_count > 0) as sent_endpoint_count,
        count(*) filter (not is_held_out and delivered_count > 0) as delivered_endpoint_count,
        count(*) filter (not is_held_out and opened_count > 0) as opened_endpoint_count,
        count(*) filter (not is_held_out and clicked_count > 0) as clicked_endpoint_count,
        count(opted_out_at) filter (not is_held_out) as opted_out_endpoint_count,
        min(first_sent_at) as first_sent_at,
        max(last_sent_at) as last_sent_at
    from core.campaign_endpoints
    group by all
)

select
    treatments.app_id,
    treatments.campaign_id,
    treatments.treatment_id,
    coalesce(names.treatment_name, treatments.treatment_id) as treatment_name,
    treatments.* exclude (app_id, campaign_id, treatment_id)
from treatments
left join names using (app_id, campaign_id, treatment_id)
