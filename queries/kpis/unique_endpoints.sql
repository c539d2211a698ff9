-- One row per kpi_name that counts endpoints, app_id, day, campaign_id, treatment_id, campaign_activity_id and endpoint_id.
-- Numerator: count(distinct endpoint_id) over whatever days are asked for; no denominator. Clock and zone: as kpis.sent_messages.
with
counted as (
    select 'unique-deliveries' as measure, *
    from kpis.sent_messages
    -- Something of a campaign's that stayed with its endpoint.
    where source = 'campaign' and is_delivered_unless_hardbounced
    union all
    select 'txn-emails-unique-opens', *
    from kpis.sent_messages
    -- A transactional e-mail that somebody opened.
    where source = 'transactional' and channel = 'EMAIL' and is_opened
    union all
    select 'txn-emails-unique-clicks', *
    from kpis.sent_messages
    -- A transactional e-mail in which somebody clicked.
    where source = 'transactional' and channel = 'EMAIL' and click_count > 0
)

select distinct
    names.kpi_name,
    counted.app_id,
    counted.message_date as kpi_date,
    counted.campaign_id,
    case when counted.source = 'campaign' then counted.treatment_id end as treatment_id,
    case when counted.source = 'campaign' then counted.campaign_activity_id end as campaign_activity_id,
    counted.endpoint_id
from counted
inner join kpis.names using (measure)
-- A message to nobody known reaches no endpoint.
where coalesce(counted.endpoint_id, '') <> ''
