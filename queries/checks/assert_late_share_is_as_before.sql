-- One row when of the events that landed on the last whole day a far larger share was late than on the days before.
-- Severity: warn
-- Far larger is more than three times the median of the 28 days before, and more than one in a hundred. Days are UTC days of _appended_at.
with
days as (
    select arrival_date, count(*) as event_count, count(*) filter (is_late) as late_count
    from core.events
    group by arrival_date
),

last_day as (
    select max(arrival_date) - 1 as whole_date from days
),

compared as (
    select
        last_day.whole_date as arrival_date,
        any_value(days.event_count) filter (days.arrival_date = last_day.whole_date) as event_count,
        any_value(days.late_count) filter (days.arrival_date = last_day.whole_date) as late_count,
        median(days.late_count / days.event_count) filter (days.arrival_date < last_day.whole_date) as expected_share,
        count(*) filter (days.arrival_date < last_day.whole_date) as day_count
    from days
    cross join last_day
    -- The day itself and four weeks before it.
    where days.arrival_date between last_day.whole_date - 28 and last_day.whole_date
    group by last_day.whole_date
)

select arrival_date, event_count, late_count, late_count / event_count as late_share, expected_share
from compared
-- With less than a week nobody knows what is ordinary; an import of an archive is late as a whole, and its first day is no alarm.
where day_count >= 7 and late_count > event_count / 100 and late_count > 3 * expected_share * event_count
