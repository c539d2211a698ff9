-- One row when of the events that landed on the last whole day a far larger share was late than on the days before.
-- Severity: warn
-- Far larger is what unusual_share says: an import of an archive is late as a whole, and its first day is no alarm. Days are UTC days of _appended_at.
with
days as (
    select arrival_date, count(*) as event_count, count(*) filter (is_late) as part_count
    from core.events
    group by arrival_date
)

select arrival_date, event_count, part_count as late_count, share as late_share, expected_share
from unusual_share((select list(days) from days))
