-- One row per kpi_name, app_id, day and what its family groups by: all families in one but hourly_email_kpis, which reads events anew.
-- Numerator, denominator, clock and zone: what kpis.names says of each name.
select * from kpis.campaign_kpis
union all by name
select * from kpis.txn_email_kpis
union all by name
select * from kpis.txn_sms_kpis
union all by name
select * from kpis.journey_kpis
