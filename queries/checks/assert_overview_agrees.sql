-- One row per chart of kpis.overview and app_id whose months do not add up to what core has.
-- Severity: warn
-- A number that is wrong, or months outside the calendar kpis.periods, mostly of clocks that are ahead or were never set.
with
shown as (
    select app_id, chart, sum(numerator) as amount
    from kpis.overview
    -- Charts whose months add up; of distinct endpoints they do not.
    where period = 'month'
      and chart in (
          'usage_sessions', 'usage_new_endpoints', 'revenue_total', 'campaigns_messages_delivered', 'transactional_email_sends', 'transactional_email_deliveries'
      )
    group by all
),

messages as (
    select
        app_id,
        count(*) filter (campaign_id is not null and bounce_type is distinct from 'hard' and failed_at is null)::double as delivered_of_campaigns,
        count(*) filter (campaign_id is null and journey_id is null and channel = 'EMAIL') as mails,
        count(*) filter (
            campaign_id is null and journey_id is null and channel = 'EMAIL' and coalesce(bounced_at, rejected_at, failed_at) is null
        ) as delivered_mails
    from core.deliveries
    -- What was held back was no message.
    where sent_at is not null
    group by all
),

counted as (
    select app_id, 'usage_sessions' as chart, count(*)::double as amount from core.sessions group by all
    union all
    select app_id, 'usage_new_endpoints', count(*) from core.endpoint_days where is_new group by all
    union all
    select app_id, 'revenue_total', coalesce(sum(revenue), 0) from core.purchases group by all
    union all
    select app_id, 'campaigns_messages_delivered', delivered_of_campaigns from messages
    union all
    select app_id, 'transactional_email_sends', mails from messages
    union all
    select app_id, 'transactional_email_deliveries', delivered_mails from messages
)

select
    coalesce(shown.chart, counted.chart) as chart,
    coalesce(shown.app_id, counted.app_id) as app_id,
    coalesce(shown.amount, 0) as amount_of_overview,
    coalesce(counted.amount, 0) as amount_of_core
from shown
full join counted on shown.chart = counted.chart and shown.app_id is not distinct from counted.app_id
-- To a billionth, since adding in another order moves the last digits.
where abs(coalesce(shown.amount, 0) - coalesce(counted.amount, 0)) > 1e-9 * greatest(1, abs(coalesce(counted.amount, 0)))
