-- One row per app_id and campaign_id whose treatments do not hold each endpoint that events name once, or have a part that is more than the whole.
-- Severity: fail
-- Endpoints are counted from the events that landed; those held out in core.campaigns once more, by a grouping of its own.
with
named as (
    select app_id, campaign_id, count(distinct endpoint_id) as endpoint_count
    from staging.events
    -- Of campaigns' messages, whatever they say of them; a message to nobody known has no endpoint.
    where campaign_id is not null and coalesce(endpoint_id, '') <> ''
      and split_part(lower(event_type), '.', 1) in ('_campaign', '_email', '_sms', '_inapp')
    group by all
),

treatments as (
    select
        app_id,
        campaign_id,
        sum(endpoint_count + held_out_count)::bigint as endpoint_count,
        sum(held_out_count)::bigint as held_out_count,
        bool_or(
            greatest(
                sent_endpoint_count, delivered_endpoint_count, opened_endpoint_count, clicked_endpoint_count, opted_out_endpoint_count
            ) > endpoint_count
        ) as has_larger_part
    from core.treatments
    group by all
),

campaigns as (
    select app_id, campaign_id, held_out_count
    from core.campaigns
)

select
    named.app_id,
    named.campaign_id,
    named.endpoint_count as endpoints_of_events,
    treatments.endpoint_count as endpoints_of_treatments,
    campaigns.held_out_count as held_out_of_campaign,
    treatments.held_out_count as held_out_of_treatments,
    treatments.has_larger_part
from named
-- A campaign that one of them does not have is assert_campaigns_of_events_are_known's.
inner join treatments on named.app_id is not distinct from treatments.app_id and named.campaign_id = treatments.campaign_id
inner join campaigns on named.app_id is not distinct from campaigns.app_id and named.campaign_id = campaigns.campaign_id
-- Each endpoint in one treatment, held out or not, and a part of it at most.
where named.endpoint_count <> treatments.endpoint_count
   or campaigns.held_out_count <> treatments.held_out_count
   or treatments.has_larger_part
