-- One row per chart of the pages Campaigns, Transactional and Funnels, app_id, period, period_date and part.
-- Numerator, denominator: as the chart's own view says. Clock: when the message was sent, else its first answer. Zone: the app's.
with
kinds as (
    select unnest(['day', 'week', 'month']) as period
),

-- A day that no chart shows is in no week and no month either.
-- A map in one row: a join by app took a sixth more of the time of all messages. Events that name no app are in no chart.
known_days as materialized (
    select map_from_entries(list((app_id, {'first_date': first_date, 'last_date': last_date})) filter (app_id is not null)) as known
    from kpis.known_days
),

charts as (
    select *
    from (
        values
            ('campaigns_messages_sent', 'attempted-deliveries-grouped-by-campaign-activity', null),
            ('campaigns_messages_delivered', 'successful-deliveries-grouped-by-campaign', null),
            ('campaigns_delivery_rate', 'successful-delivery-rate', null),
            ('campaigns_email_open_rate', 'email-open-rate', null),
            ('campaigns_email_open_rate_by_people', 'email-open-rate-by-people', null),
            ('campaigns_push_open_rate', 'push-open-rate', null),
            ('campaigns_sms_spend', 'sms-spend', null),
            ('campaigns_delivery_rate_by_campaign', 'successful-delivery-rate', 'campaign'),
            ('campaigns_email_open_rate_by_campaign', 'email-open-rate', 'campaign'),
            ('campaigns_push_open_rate_by_campaign', 'push-open-rate', 'campaign'),
            ('campaigns_email_open_rate_by_treatment', 'email-open-rate', 'treatment'),
            ('campaigns_push_open_rate_by_treatment', 'push-open-rate', 'treatment'),
            ('campaigns_sent_by_treatment', 'attempted-deliveries-grouped-by-campaign-activity', 'treatment'),
            ('campaigns_delivery_rate_by_treatment', 'successful-delivery-rate', 'treatment'),
            ('campaigns_email_clicks_by_treatment', 'clicks-grouped-by-campaign-activity', 'treatment'),
            ('campaigns_sent_by_run', 'attempted-deliveries-grouped-by-campaign-activity', 'run'),
            ('campaigns_delivery_rate_by_run', 'successful-delivery-rate-grouped-by-campaign-activity', 'run'),
            ('campaigns_email_open_rate_by_run', 'email-open-rate-grouped-by-campaign-activity', 'run'),
            ('transactional_email_sends', 'txn-emails-sent', null),
            ('transactional_email_deliveries', 'txn-emails-delivered', null),
            ('transactional_email_opens', 'txn-emails-opened', null),
            ('transactional_email_clicks', 'txn-emails-clicked', null),
            ('transactional_email_complaints', 'txn-emails-with-complaints', null),
            ('transactional_email_delivery_rate', 'txn-emails-delivery-rate', null),
            ('transactional_email_complaint_rate', 'txn-emails-complaint-rate', null),
            ('transactional_sms_sent', 'txn-sms-sent', null),
            ('transactional_sms_parts_sent', 'txn-sms-sent-by-parts', null),
            ('transactional_sms_deliveries', 'txn-sms-delivered', null),
            ('transactional_sms_delivery_rate', 'txn-sms-delivery-rate', null),
            ('transactional_sms_sent_by_country', 'txn-sms-sent-grouped-by-country', 'country'),
            ('transactional_sms_delivered_by_country', 'txn-sms-delivered', 'country'),
            ('transactional_sms_price_by_country', 'txn-sms-average-price-by-parts-grouped-by-country', 'country'),
            ('transactional_sms_errors', 'txn-sms-error-distribution', 'record-status')
    ) as said (chart, kpi_name, parted_by)
),

messages as (
    select messages.*, kinds.period, period_date(messages.message_date, kinds.period) as period_date
    from kpis.sent_messages as messages
    inner join known_days on messages.message_date between known[messages.app_id].first_date and known[messages.app_id].last_date
    cross join kinds
)

select
    charts.chart,
    kpis.app_id,
    kinds.period,
    period_date(kpis.kpi_date, kinds.period) as period_date,
    case charts.parted_by
        when 'campaign' then kpis.campaign_id
        when 'treatment' then kpis.campaign_id || '/' || kpis.treatment_id
        when 'run' then kpis.campaign_id || '/' || kpis.campaign_activity_id
        when 'country' then kpis.country
        when 'record-status' then kpis.record_status
    end as part,
    sum(kpis.numerator) as numerator,
    sum(kpis.denominator) as denominator
from kpis.kpi_days as kpis
inner join charts using (kpi_name)
inner join known_days on kpis.kpi_date between known[kpis.app_id].first_date and known[kpis.app_id].last_date
cross join kinds
group by all
union all
select said.chart, app_id, period, period_date, null, said.numerator, said.denominator
from (
    select app_id, period, period_date, unnest([
        {'chart': 'campaigns_active', 'numerator': count(distinct campaign_id)::double, 'denominator': null::double},
        {'chart': 'campaigns_endpoint_deliveries', 'numerator': count(distinct reached_id), 'denominator': null},
        {
            'chart': 'campaigns_opt_out_rate',
            'numerator': count(distinct reached_id) filter (opt_out_count > 0),
            'denominator': count(distinct reached_id)
        }
    ]) as said
    from (
        -- A message to nobody known reaches no endpoint.
        select *, case when is_delivered_unless_hardbounced then nullif(endpoint_id, '') end as reached_id
        from messages
    )
    -- The page is about campaigns.
    where source = 'campaign'
    group by all
)
union all
select said.chart, app_id, period, period_date, said.part, said.numerator, said.denominator
from (
    select app_id, period, period_date, unnest([
        {'chart': 'campaigns_sent_by_channel', 'part': campaign_id || '/' || channel, 'numerator': count(*) filter (is_sent)::double, 'denominator': null::double},
        {
            'chart': 'campaigns_delivery_rate_by_channel',
            'part': campaign_id || '/' || channel,
            'numerator': count(*) filter (is_delivered_unless_hardbounced),
            'denominator': count(*) filter (is_sent)
        },
        {
            'chart': 'campaigns_open_rate_by_channel',
            -- Nobody knows who opened a text.
            'part': case when channel in ('EMAIL', 'PUSH') then campaign_id || '/' || channel end,
            'numerator': count(*) filter (is_opened and is_delivered_unless_hardbounced),
            'denominator': count(*) filter (is_delivered_unless_hardbounced)
        },
        {
            'chart': 'campaigns_click_rate_by_channel',
            'part': case when channel in ('EMAIL', 'IN_APP') then campaign_id || '/' || channel end,
            'numerator': count(*) filter (click_count > 0 and is_delivered_unless_hardbounced),
            'denominator': count(*) filter (is_delivered_unless_hardbounced)
        }
    ]) as said
    from messages
    -- What channel it was, somebody must have said.
    where source = 'campaign' and channel is not null
    group by app_id, period, period_date, campaign_id, channel
)
-- Channels that are not opened, or not clicked in.
where said.part is not null
union all
select
    'campaigns_email_click_rate_by_treatment',
    app_id,
    period,
    period_date,
    campaign_id || '/' || treatment_id,
    count(*) filter (click_count > 0 and is_delivered_unless_hardbounced),
    count(*) filter (is_delivered_unless_hardbounced)
from messages
-- Of other channels clicks are not known, or are opens.
where source = 'campaign' and channel = 'EMAIL'
group by app_id, period, period_date, campaign_id, treatment_id
union all
select 'transactional_email_bounce_rate', app_id, period, period_date, null, count(*) filter (is_hardbounced or is_softbounced), count(*) filter (is_sent)
from messages
-- E-mails that neither a campaign nor a journey sent.
where source = 'transactional' and channel = 'EMAIL'
group by all
union all
select 'funnels_email', app_id, period, period_date, step.part, count(*) filter (step.is_reached), count(*) filter (is_sent)
from (
    select *, unnest([
        {'part': '1 sent', 'is_reached': is_sent},
        -- Who opened has it, whatever a mailbox said before.
        {'part': '2 delivered', 'is_reached': is_delivered_unless_bounced or is_opened_by_people or people_click_count > 0},
        {'part': '3 opened', 'is_reached': is_opened_by_people or people_click_count > 0},
        {'part': '4 clicked', 'is_reached': people_click_count > 0}
    ]) as step
    from messages
    -- Of other channels nobody knows each step, and what was not sent is on none.
    where channel = 'EMAIL' and is_sent
)
group by all
