-- One row per app_id and day before 2015, of clocks that were never set.
-- Severity: warn
select
    app_id,
    (event_timestamp at time zone 'UTC')::date as early_date,
    count(*) as event_count,
    count(distinct endpoint_id) as endpoint_count
from core.events
-- No SDK that speaks Pinpoint's protocol is older. Archives that people import may be.
where event_timestamp < timestamptz '2015-01-01 00:00:00+00' and coalesce(source, '') not like 'import:%'
group by app_id, early_date
