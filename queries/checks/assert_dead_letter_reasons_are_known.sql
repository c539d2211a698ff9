-- One row per reason of dead letters that is not in the list of reasons.
-- Severity: fail
with
known as (
    select unnest([
        'empty', 'too_large', 'not_utf8', 'not_json', 'too_deep', 'duplicate_key', 'number_out_of_range', 'not_an_object', 'unknown_schema',
        'not_avro', 'missing_field', 'wrong_type', 'bad_timestamp', 'duplicate'
    ]) as reason
)

select letters.reason, count(*) as row_count
from staging.dead_letters as letters
anti join known using (reason)
group by letters.reason
