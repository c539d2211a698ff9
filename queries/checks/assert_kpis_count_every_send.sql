-- One row per KPI of messages sent, app_id and day whose number is not that of the messages sent.
-- Severity: fail
-- Transactional messages are counted from the events that landed, those of campaigns and journeys from core.deliveries.
with
told as (
    select
        app_id,
        case when starts_with(lower(event_type), '_email.') then 'txn-emails-sent' else 'txn-sms-sent' end as kpi_name,
        endpoint_id,
        coalesce(nullif(message_id, ''), epoch_ms(event_timestamp)::varchar) as message,
        min(event_timestamp) filter (
            lower(event_type) in ('_email.send', '_email.delivered', '_email.open', '_email.click', '_email.hardbounce', '_email.softbounce')
            or lower(event_type) in ('_email.complaint', '_email.unsubscribe', '_email.rejected')
            or lower(event_type) in (lower('_SMS.BUFFERED'), lower('_SMS.SEND'), lower('_SMS.SUCCESS'), lower('_SMS.FAILURE'))
        ) as sent_at
    from staging.events
    where starts_with(lower(event_type), '_email.') or starts_with(lower(event_type), '_sms.')
    group by all
    -- A message is transactional when no event of it names what else would have sent it.
    having count(campaign_id) + count(journey_id) = 0
),

transactional as (
    select app_id, kpi_name, (sent_at at time zone app_zone(app_id))::date as kpi_date, count(*) as sent_count
    from told
    -- Opt-outs, decisions and what could not be written tell of no send.
    where sent_at is not null
    group by all
),

caused as (
    select
        app_id,
        case when campaign_id is not null then 'attempted-deliveries-grouped-by-campaign-activity' else 'journey-emails-sent' end as kpi_name,
        local_date(sent_at, app_zone(app_id)) as kpi_date,
        count(*) as sent_count
    from core.deliveries
    -- Of what journeys send, KPIs count e-mails.
    where sent_at is not null and (campaign_id is not null or (journey_id is not null and channel = 'EMAIL'))
    group by all
),

sent as (
    select * from transactional
    union all
    select * from caused
),

kpis as (
    select app_id, kpi_name, kpi_date, sum(numerator)::bigint as sent_count
    from kpis.kpi_days
    -- One name of each family; a day of answers alone has a row of 0.
    where kpi_name in ('attempted-deliveries-grouped-by-campaign-activity', 'journey-emails-sent', 'txn-emails-sent', 'txn-sms-sent')
    group by all
    having sum(numerator) <> 0
)

select
    coalesce(kpis.kpi_name, sent.kpi_name) as kpi_name,
    coalesce(kpis.app_id, sent.app_id) as app_id,
    coalesce(kpis.kpi_date, sent.kpi_date) as kpi_date,
    coalesce(kpis.sent_count, 0) as sent_of_kpi,
    coalesce(sent.sent_count, 0) as sent_of_events
from kpis
full join sent on kpis.kpi_name = sent.kpi_name and kpis.app_id is not distinct from sent.app_id and kpis.kpi_date = sent.kpi_date
-- Each message once, on the day on which it was sent.
where kpis.sent_count is distinct from sent.sent_count
