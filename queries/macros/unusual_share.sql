-- One row per last whole day on which a part of what came is far larger than on the days before: more than three times the median share of the
-- 28 days before it, and more than one in a hundred. With less than a week before it nobody knows what is ordinary, and there is no row.
-- days: LIST of STRUCT(arrival_date DATE, event_count BIGINT, part_count BIGINT), one for each day; null or empty gives no row.
create macro unusual_share(days) as table
with
counted as (
    select said.arrival_date, said.event_count, said.part_count from (select unnest(days) as said)
),

last_day as (
    select max(arrival_date) - 1 as whole_date from counted
),

compared as (
    select
        last_day.whole_date as arrival_date,
        any_value(counted.event_count) filter (counted.arrival_date = last_day.whole_date) as event_count,
        any_value(counted.part_count) filter (counted.arrival_date = last_day.whole_date) as part_count,
        median(counted.part_count / counted.event_count) filter (counted.arrival_date < last_day.whole_date) as expected_share,
        count(*) filter (counted.arrival_date < last_day.whole_date) as day_count
    from counted
    cross join last_day
    -- The day itself and four weeks before it.
    where counted.arrival_date between last_day.whole_date - 28 and last_day.whole_date
    group by last_day.whole_date
)

select arrival_date, event_count, part_count, part_count / event_count as share, expected_share
from compared
-- What nobody knows the ordinary share of is no alarm.
where day_count >= 7 and part_count > event_count / 100 and part_count > 3 * expected_share * event_count
