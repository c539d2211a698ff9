-- One row per kpi_name, app_id, day, campaign_id, treatment_id, campaign_activity_id, journey_id and journey_activity_id; these are null of transactional e-mails.
-- Numerator: of each message and recipient one open, or one click, in a clock hour, as Pinpoint's console counted; no denominator. Clock: the hour is that in which
-- the open or click arrived, the day that on which the message was sent. Zone: the app's, of hours too; when clocks go back, the hour that comes twice is two hours.
with
readings as (
    select
        facts.app_id,
        facts.campaign_id,
        case when facts.campaign_id is not null then coalesce(facts.treatment_id, '0') end as treatment_id,
        facts.campaign_activity_id,
        facts.journey_id,
        facts.journey_activity_id,
        facts.message_key,
        facts.endpoint_id,
        case facts.fact when 'open' then 'emails-opened-once-an-hour' else 'emails-clicked-once-an-hour' end as measure,
        facts.happened_at,
        facts.message_sent_at,
        coalesce(settings.app_zones[facts.app_id], settings.report_zone) as zone
    from core.message_facts as facts
    cross join settings
    -- Of other channels nobody knows each open. Everybody's count, as Pinpoint counted them.
    where facts.channel = 'EMAIL' and facts.fact in ('open', 'click')
),

hours as (
    select distinct
        * exclude (happened_at, message_sent_at, zone),
        local_date(message_sent_at, zone) as kpi_date,
        date_trunc('hour', timezone(zone, happened_at)) as clock_hour,
        -- Tells the two hours apart that a clock shows alike.
        timezone(zone, happened_at) - timezone('UTC', happened_at) as utc_offset
    from readings
)

select
    names.kpi_name,
    hours.app_id,
    hours.kpi_date,
    hours.campaign_id,
    hours.treatment_id,
    hours.campaign_activity_id,
    hours.journey_id,
    hours.journey_activity_id,
    count(*)::double as numerator,
    null::double as denominator
from hours
inner join kpis.names using (measure)
group by all
