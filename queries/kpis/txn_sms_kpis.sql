-- One row per kpi_name, app_id, day, country and record_status.
-- Numerator, denominator: what kpis.names says of each name, prices in thousandths of a US cent. Clock: sent, else first answer. Zone: the app's.
with
days as (
    select
        app_id,
        message_date as kpi_date,
        country,
        record_status,
        count(*) filter (is_sent) as sent,
        count(*) filter (is_delivered_reported) as delivered,
        count(*) filter (is_failed) as failed,
        coalesce(sum(parts) filter (is_sent), 0) as parts_sent,
        coalesce(sum(parts) filter (is_delivered_reported), 0) as parts_delivered,
        sum(price_millicents) as price_millicents
    from kpis.sent_messages
    -- Texts that neither a campaign nor a journey sent.
    where source = 'transactional' and channel = 'SMS'
    group by all
),

measured as (
    select * exclude (said), said.measure, said.numerator, said.denominator
    from (
        select
            app_id, kpi_date, country, record_status,
            unnest([
                {'measure': 'txn-sms-sent', 'numerator': sent::double, 'denominator': null::double},
                {'measure': 'txn-sms-delivered', 'numerator': delivered, 'denominator': null},
                {'measure': 'txn-sms-delivery-rate', 'numerator': delivered, 'denominator': sent},
                {'measure': 'txn-sms-error-distribution', 'numerator': nullif(failed, 0), 'denominator': null},
                {'measure': 'txn-sms-sent-by-parts', 'numerator': parts_sent, 'denominator': null},
                {'measure': 'txn-sms-delivered-by-parts', 'numerator': parts_delivered, 'denominator': null},
                {'measure': 'txn-sms-total-price', 'numerator': price_millicents, 'denominator': null},
                {'measure': 'txn-sms-average-price', 'numerator': price_millicents, 'denominator': sent},
                {'measure': 'txn-sms-average-price-by-parts', 'numerator': price_millicents, 'denominator': parts_sent}
            ]) as said
        from days
    )
    -- What the carrier says of texts that did not fail is no error.
    where said.numerator is not null
)

select
    names.kpi_name,
    measured.app_id,
    measured.kpi_date,
    measured.country,
    measured.record_status,
    measured.numerator,
    measured.denominator
from measured
inner join kpis.names using (measure)
