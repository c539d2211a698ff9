-- One row per table and folder with rows that were appended on another UTC day.
-- Severity: fail
-- Readers pass over whole folders by their day: a row in the wrong one is not found.
with
rows_landed as (
    select 'events' as lake_table, arrival_date, _appended_at from staging.events
    union all
    select 'endpoint_updates' as lake_table, arrival_date, _appended_at from staging.endpoint_updates
    union all
    select 'dead_letters' as lake_table, arrival_date, _appended_at from staging.dead_letters
)

select lake_table, arrival_date, count(*) as row_count
from rows_landed
-- The others lie where they belong.
where arrival_date is distinct from (_appended_at at time zone 'UTC')::date
group by lake_table, arrival_date
