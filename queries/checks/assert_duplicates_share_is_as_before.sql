-- One row when of the events that came on the last whole day a far larger share were duplicates than on the days before.
-- Severity: warn
-- Far larger is more than three times the median of the 28 days before, and more than one in a hundred. Days are UTC days of _appended_at.
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
    select arrival_date, sum(event_count)::bigint as event_count, sum(duplicate_count)::bigint as duplicate_count
    from arrivals
    group by arrival_date
),

last_day as (
    select max(arrival_date) - 1 as whole_date from days
),

compared as (
    select
        last_day.whole_date as arrival_date,
        any_value(days.event_count) filter (days.arrival_date = last_day.whole_date) as event_count,
        any_value(days.duplicate_count) filter (days.arrival_date = last_day.whole_date) as duplicate_count,
        median(days.duplicate_count / days.event_count) filter (days.arrival_date < last_day.whole_date) as expected_share,
        count(*) filter (days.arrival_date < last_day.whole_date) as day_count
    from days
    cross join last_day
    -- The day itself and four weeks before it.
    where days.arrival_date between last_day.whole_date - 28 and last_day.whole_date
    group by last_day.whole_date
)

select arrival_date, event_count, duplicate_count, duplicate_count / event_count as duplicate_share, expected_share
from compared
-- With less than a week nobody knows what is ordinary.
where day_count >= 7 and duplicate_count > event_count / 100 and duplicate_count > 3 * expected_share * event_count
