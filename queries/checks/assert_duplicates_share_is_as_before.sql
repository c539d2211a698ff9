-- One row when of the events that came on the last whole day a far larger share were duplicates than on the days before.
-- Severity: warn
-- Far larger is what unusual_share says. Days are UTC days of _appended_at.
with
arrivals as (
    select arrival_date, count(*) as event_count, 0 as duplicate_count from staging.events group by arrival_date
    union all
    select arrival_date, count(*) as event_count, count(*) as duplicate_count
    from staging.dead_letters
    -- The other dead letters were no events.
    where reason = 'duplicate'
    group by arrival_date
),

days as (
    select arrival_date, sum(event_count)::bigint as event_count, sum(duplicate_count)::bigint as part_count
    from arrivals
    group by arrival_date
)

select arrival_date, event_count, part_count as duplicate_count, share as duplicate_share, expected_share
from unusual_share((select list(days) from days))
