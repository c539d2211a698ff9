-- One row per app_id and campaign_id that a message's event names and core.campaigns does not have once.
-- Severity: fail
with
named as (
    select app_id, campaign_id, count(*) as event_count
    from core.message_facts
    -- A journey's and a transactional message have no campaign.
    where campaign_id is not null
    group by all
),

campaigns as (
    select app_id, campaign_id, count(*) as row_count
    from core.campaigns
    group by all
)

select app_id, campaign_id, named.event_count, coalesce(campaigns.row_count, 0) as row_count
from named
full join campaigns using (app_id, campaign_id)
-- Named, and there once.
where named.event_count is null or campaigns.row_count is distinct from 1
