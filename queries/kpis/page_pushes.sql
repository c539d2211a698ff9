-- One row per chart of the page Campaigns about what followed pushes, app_id, period, period_date and part, the campaign.
-- Numerator, denominator: as the chart's own view says. Clock: when the push was sent. Zone: the app's.
with
kinds as (
    select unnest(['day', 'week', 'month']) as period
),

-- A day that no chart shows is in no week and no month either.
known_days as materialized (
    select * from kpis.known_days
),

pushes as (
    select app_id, campaign_id, endpoint_id, message_at, message_date
    from kpis.sent_messages
    -- Who got it is known of devices alone.
    where source = 'campaign' and channel = 'PUSH' and is_delivered_unless_hardbounced and coalesce(endpoint_id, '') <> ''
),

deeds as (
    select 'campaigns_push_sessions_within_24_hours' as chart, app_id, endpoint_id, started_at as done_at, session_id as deed, 1::double as amount
    from core.sessions
    union all
    select 'campaigns_push_units_within_24_hours', app_id, endpoint_id, purchased_at, concat_ws(':', _topic_id, _partition, _offset), quantity
    from core.purchases
),

followed as (
    -- After two pushes of a campaign, a session is of the second.
    select deeds.chart, pushes.app_id, pushes.campaign_id, arg_max(pushes.message_date, pushes.message_at) as message_date, any_value(deeds.amount) as amount
    from pushes
    inner join deeds
        on pushes.app_id = deeds.app_id
        and pushes.endpoint_id = deeds.endpoint_id
        and deeds.done_at between pushes.message_at and pushes.message_at + interval 24 hours
    group by deeds.chart, pushes.app_id, pushes.campaign_id, pushes.endpoint_id, deeds.deed
),

told as (
    select chart, app_id, campaign_id, message_date, amount from followed
    union all
    -- Pushes that nothing followed are a row of 0.
    select distinct
        unnest(['campaigns_push_sessions_within_24_hours', 'campaigns_push_units_within_24_hours']), app_id, campaign_id, message_date, 0
    from pushes
)

select
    told.chart,
    told.app_id,
    kinds.period,
    period_date(told.message_date, kinds.period) as period_date,
    told.campaign_id as part,
    sum(told.amount) as numerator,
    null::double as denominator
from told
inner join known_days on told.app_id = known_days.app_id and told.message_date between known_days.first_date and known_days.last_date
cross join kinds
group by all
