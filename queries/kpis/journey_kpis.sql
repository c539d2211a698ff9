-- One row per kpi_name, app_id, day, journey_id and journey_activity_id.
-- Numerator: what kpis.names says of each name; they are counts and have no denominator. Clock: sent, else first answer. Zone: the app's.
with
activities as (
    select
        app_id,
        message_date as kpi_date,
        journey_id,
        journey_activity_id,
        count(*) filter (is_sent) as sent,
        count(*) filter (is_delivered_unless_bounced) as delivered,
        count(*) filter (is_delivered_reported) as reported,
        count(*) filter (is_opened) as opened,
        count(*) filter (is_opened_by_people) as opened_by_people,
        sum(click_count) as clicks,
        sum(people_click_count) as clicks_by_people,
        count(*) filter (is_hardbounced) as hardbounced,
        count(*) filter (is_softbounced) as softbounced,
        count(*) filter (is_complained) as complained,
        count(*) filter (is_rejected) as rejected,
        sum(opt_out_count) as unsubscribed
    from kpis.sent_messages
    -- E-mails of journeys; Pinpoint had no KPI of their texts and pushes.
    where source = 'journey' and channel = 'EMAIL'
    group by all
),

measured as (
    select * exclude (said), said.measure, said.numerator
    from (
        select
            app_id, kpi_date, journey_id, journey_activity_id,
            unnest([
                {'measure': 'emails-sent', 'numerator': sent::double},
                {'measure': 'emails-delivered', 'numerator': delivered},
                {'measure': 'emails-opened', 'numerator': opened},
                {'measure': 'emails-clicked', 'numerator': clicks},
                {'measure': 'emails-hardbounced', 'numerator': hardbounced},
                {'measure': 'emails-softbounced', 'numerator': softbounced},
                {'measure': 'emails-complained', 'numerator': complained},
                {'measure': 'emails-rejected', 'numerator': rejected},
                {'measure': 'emails-unsubscribed', 'numerator': unsubscribed},
                {'measure': 'emails-opened-by-people', 'numerator': opened_by_people},
                {'measure': 'emails-clicked-by-people', 'numerator': clicks_by_people},
                {'measure': 'emails-delivered-reported', 'numerator': reported}
            ]) as said
        from activities
    )
)

select
    names.kpi_name,
    measured.app_id,
    measured.kpi_date,
    measured.journey_id,
    measured.journey_activity_id,
    measured.numerator,
    null::double as denominator
from measured
inner join kpis.names using (measure)
