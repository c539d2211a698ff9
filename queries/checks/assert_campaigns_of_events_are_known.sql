-- One row per app_id and campaign_id that a message's event names and core.campaigns does not have once.
-- Severity: fail
-- A campaign of which only events of types come that nobody knows is one that no view shows.
with
named as (
    select app_id, campaign_id, count(*) as event_count
    from staging.events
    -- Of messages, whatever they say of them; a journey's and a transactional message have no campaign.
    where campaign_id is not null and split_part(lower(event_type), '.', 1) in ('_campaign', '_email', '_sms', '_inapp')
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
