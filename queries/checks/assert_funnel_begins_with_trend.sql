-- One row per app_id whose funnel of one step has other subjects on the last whole day than the trend of that step has.
-- Severity: fail
-- Two macros count the endpoints that started a session on a day: by attempts, and by events.
with
-- Once: a macro asks its arguments wherever it names them.
last_day as materialized (
    select coalesce(max(event_date) - 1, current_date) as day
    from core.events
    -- A clock that is ahead knows of no whole day.
    where not is_future
),

funnel_subjects as (
    select by_value as app_id, subject_count
    from funnel(
        ['_session.start'],
        (select day from last_day),
        (select day from last_day),
        "by" := 'app_id'
    )
    -- With nobody at all there is one row of zeros.
    where by_value is not null
),

trend_subjects as (
    select by_value as app_id, value::bigint as subject_count
    from trend(
        '_session.start',
        (select day from last_day),
        (select day from last_day),
        measure := 'subjects',
        "by" := 'app_id'
    )
    -- A day without events is a row of 0, which the funnel has not.
    where by_value is not null and value > 0
)

select app_id, funnel_subjects.subject_count as subjects_of_funnel, trend_subjects.subject_count as subjects_of_trend
from funnel_subjects
full join trend_subjects using (app_id)
-- The same endpoints, once each.
where funnel_subjects.subject_count is distinct from trend_subjects.subject_count
