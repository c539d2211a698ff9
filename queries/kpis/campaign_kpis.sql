-- One row per kpi_name, app_id, day, campaign_id, treatment_id and campaign_activity_id; of unique deliveries, of these only what the name groups by.
-- Numerator, denominator: what kpis.names says of each name; no denominator of a count. Clock: sent, else first answer. Zone: the app's.
with
runs as (
    select
        app_id,
        message_date as kpi_date,
        campaign_id,
        treatment_id,
        campaign_activity_id,
        count(*) filter (is_sent) as sent,
        count(*) filter (is_delivered_unless_hardbounced) as delivered,
        count(*) filter (is_delivered_reported) as reported,
        count(*) filter (is_sent and channel = 'EMAIL') as mails_sent,
        count(*) filter (is_delivered_unless_hardbounced and channel = 'EMAIL') as mails_delivered,
        count(*) filter (is_delivered_reported and channel = 'EMAIL') as mails_reported,
        count(*) filter (is_hardbounced and channel = 'EMAIL') as mails_hardbounced,
        count(*) filter (is_opened and channel = 'EMAIL') as mails_opened,
        -- A rate is of those that its denominator has: an open may be all that is known of a message, or follow a bounce.
        count(*) filter (is_opened and is_sent and channel = 'EMAIL') as mails_opened_of_sent,
        count(*) filter (is_opened and is_delivered_unless_hardbounced and channel = 'EMAIL') as mails_opened_of_delivered,
        count(*) filter (is_opened and is_delivered_reported and channel = 'EMAIL') as mails_opened_of_reported,
        count(*) filter (is_opened_by_people and is_delivered_unless_hardbounced and channel = 'EMAIL') as mails_opened_by_people,
        coalesce(sum(click_count) filter (channel = 'EMAIL'), 0) as clicks,
        coalesce(sum(people_click_count) filter (channel = 'EMAIL'), 0) as clicks_by_people,
        count(*) filter (is_delivered_unless_hardbounced and channel = 'PUSH') as pushes_delivered,
        count(*) filter (is_opened and channel = 'PUSH') as pushes_opened,
        count(*) filter (is_opened and is_delivered_unless_hardbounced and channel = 'PUSH') as pushes_opened_of_delivered,
        sum(price_millicents) as price_millicents
    from kpis.sent_messages
    -- Journeys and transactional messages have families of their own.
    where source = 'campaign'
    group by all
),

measured as (
    select
        * exclude (said),
        said.measure,
        said.numerator,
        said.denominator
    from (
        select
            app_id, kpi_date, campaign_id, treatment_id, campaign_activity_id,
            unnest([
                {'measure': 'successful-delivery-rate', 'numerator': delivered::double, 'denominator': sent::double},
                {'measure': 'email-open-rate', 'numerator': mails_opened_of_delivered, 'denominator': mails_delivered},
                {'measure': 'push-open-rate', 'numerator': pushes_opened_of_delivered, 'denominator': pushes_delivered},
                {'measure': 'successful-deliveries', 'numerator': delivered, 'denominator': null},
                {'measure': 'hard-bounce-rate', 'numerator': mails_hardbounced, 'denominator': mails_sent},
                {'measure': 'attempted-deliveries', 'numerator': sent, 'denominator': null},
                {'measure': 'clicks', 'numerator': clicks, 'denominator': null},
                {'measure': 'direct-email-opens', 'numerator': mails_opened, 'denominator': null},
                {'measure': 'direct-push-opens', 'numerator': pushes_opened, 'denominator': null},
                {'measure': 'sms-spend', 'numerator': price_millicents, 'denominator': null},
                {'measure': 'email-open-rate-by-people', 'numerator': mails_opened_by_people, 'denominator': mails_delivered},
                {'measure': 'email-open-rate-of-sent', 'numerator': mails_opened_of_sent, 'denominator': mails_sent},
                {'measure': 'email-open-rate-of-reported', 'numerator': mails_opened_of_reported, 'denominator': mails_reported},
                {'measure': 'clicks-by-people', 'numerator': clicks_by_people, 'denominator': null},
                {'measure': 'hard-bounce-rate-of-delivered', 'numerator': mails_hardbounced, 'denominator': mails_delivered},
                {'measure': 'delivery-rate-reported', 'numerator': reported, 'denominator': sent}
            ]) as said
        from runs
    )
)

select
    names.kpi_name,
    measured.app_id,
    measured.kpi_date,
    measured.campaign_id,
    measured.treatment_id,
    measured.campaign_activity_id,
    measured.numerator,
    measured.denominator
from measured
inner join kpis.names using (measure)
union all
select
    endpoints.kpi_name,
    endpoints.app_id,
    endpoints.kpi_date,
    case when names.grouping in ('campaign', 'campaign-activity') then endpoints.campaign_id end,
    null,
    case when names.grouping = 'campaign-activity' then endpoints.campaign_activity_id end,
    count(distinct endpoints.endpoint_id)::double,
    null
from kpis.unique_endpoints as endpoints
inner join kpis.names using (kpi_name)
-- The other unique endpoints are those of transactional e-mails.
where names.family = 'campaign_kpis'
group by all
