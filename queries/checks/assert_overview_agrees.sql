-- One row per chart of kpis.overview, app_id and kind of period (day, week, month) whose periods do not add up to what core has on the days of the calendar.
-- Severity: fail
-- Days outside the calendar kpis.periods, those of clocks that are ahead or were never set, are in no chart, and in nothing here.
with
calendar as materialized (
    select app_id, period_date as day from kpis.periods where period = 'day'
),

shown as (
    select app_id, chart, period, sum(numerator) as amount
    from kpis.overview
    -- Charts whose periods add up; of distinct endpoints they do not.
    where chart in (
          'usage_sessions', 'usage_new_endpoints', 'revenue_total', 'campaigns_messages_delivered', 'transactional_email_sends', 'transactional_email_deliveries'
      )
    group by all
),

messages as (
    select
        app_id,
        local_date(sent_at, coalesce(settings.app_zones[app_id], settings.report_zone)) as day,
        count(*) filter (campaign_id is not null and bounce_type is distinct from 'hard' and failed_at is null)::double as delivered_of_campaigns,
        count(*) filter (campaign_id is null and journey_id is null and channel = 'EMAIL') as mails,
        count(*) filter (
            campaign_id is null and journey_id is null and channel = 'EMAIL' and coalesce(bounced_at, rejected_at, failed_at) is null
        ) as delivered_mails
    from core.deliveries
    cross join settings
    -- What was held back was no message.
    where sent_at is not null
    group by all
),

days as (
    select app_id, 'usage_sessions' as chart, session_date as day, count(*)::double as amount from core.sessions group by all
    union all
    select app_id, 'usage_new_endpoints', activity_date, count(*) from core.endpoint_days where is_new group by all
    union all
    select app_id, 'revenue_total', purchase_date, coalesce(sum(revenue), 0) from core.purchases group by all
    union all
    select app_id, unnest(['campaigns_messages_delivered', 'transactional_email_sends', 'transactional_email_deliveries']), day,
        unnest([delivered_of_campaigns, mails, delivered_mails])
    from messages
),

counted as (
    select days.app_id, days.chart, kinds.period, sum(days.amount) as amount
    from days
    inner join calendar using (app_id, day)
    cross join (values ('day'), ('week'), ('month')) as kinds (period)
    group by all
)

select
    coalesce(shown.chart, counted.chart) as chart,
    coalesce(shown.app_id, counted.app_id) as app_id,
    coalesce(shown.period, counted.period) as period,
    coalesce(shown.amount, 0) as amount_of_overview,
    coalesce(counted.amount, 0) as amount_of_core
from shown
full join counted on shown.chart = counted.chart and shown.app_id = counted.app_id and shown.period = counted.period
-- To a billionth, since adding in another order moves the last digits.
where abs(coalesce(shown.amount, 0) - coalesce(counted.amount, 0)) > 1e-9 * greatest(1, abs(coalesce(counted.amount, 0)))
