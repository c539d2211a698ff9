-- One row per kpi_name, app_id and day.
-- Numerator, denominator: what kpis.names says of each name; no denominator of a count. Clock: sent, else first answer. Zone: the app's.
with
days as (
    select
        app_id,
        message_date as kpi_date,
        count(*) filter (is_sent) as sent,
        count(*) filter (is_delivered_unless_bounced) as delivered,
        count(*) filter (is_delivered_reported) as reported,
        count(*) filter (is_opened) as opened,
        count(*) filter (is_opened_by_people) as opened_by_people,
        sum(click_count) as clicks,
        sum(people_click_count) as clicks_by_people,
        count(*) filter (is_hardbounced) as hardbounced,
        count(*) filter (is_softbounced) as softbounced,
        count(*) filter (is_complained) as complained
    from kpis.sent_messages
    -- E-mails that neither a campaign nor a journey sent.
    where source = 'transactional' and channel = 'EMAIL'
    group by all
),

measured as (
    select app_id, kpi_date, said.measure, said.numerator, said.denominator
    from (
        select
            app_id, kpi_date,
            unnest([
                {'measure': 'txn-emails-sent', 'numerator': sent::double, 'denominator': null::double},
                {'measure': 'txn-emails-delivered', 'numerator': delivered, 'denominator': null},
                {'measure': 'txn-emails-opened', 'numerator': opened, 'denominator': null},
                {'measure': 'txn-emails-clicked', 'numerator': clicks, 'denominator': null},
                {'measure': 'txn-emails-hard-bounced', 'numerator': hardbounced, 'denominator': null},
                {'measure': 'txn-emails-soft-bounced', 'numerator': softbounced, 'denominator': null},
                {'measure': 'txn-emails-with-complaints', 'numerator': complained, 'denominator': null},
                {'measure': 'txn-emails-delivery-rate', 'numerator': delivered, 'denominator': sent},
                {'measure': 'txn-emails-complaint-rate', 'numerator': complained, 'denominator': sent},
                {'measure': 'txn-emails-opened-by-people', 'numerator': opened_by_people, 'denominator': null},
                {'measure': 'txn-emails-clicked-by-people', 'numerator': clicks_by_people, 'denominator': null},
                {'measure': 'txn-emails-delivered-reported', 'numerator': reported, 'denominator': null}
            ]) as said
        from days
    )
)

select names.kpi_name, measured.app_id, measured.kpi_date, measured.numerator, measured.denominator
from measured
inner join kpis.names using (measure)
union all
select kpi_name, app_id, kpi_date, count(distinct endpoint_id)::double as numerator, null as denominator
from kpis.unique_endpoints
-- Campaigns' unique deliveries are theirs.
where kpi_name like 'txn-emails-%'
group by all
