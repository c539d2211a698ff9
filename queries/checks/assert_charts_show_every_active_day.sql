-- One row per app_id and day on which endpoints were active, by clocks that were right, and that no chart shows: the calendar kpis.periods lacks it.
-- Severity: fail
-- What clocks that are ahead or were never set say of other days is assert_no_days_in_the_future's and assert_no_days_before_2015's.
select events.app_id, events.event_date as activity_date, count(distinct events.endpoint_id) as endpoint_count, count(*) as event_count
from core.events as events
left join kpis.periods as periods
    on events.app_id is not distinct from periods.app_id and periods.period = 'day' and events.event_date = periods.period_date
-- The calendar knows the others, or rightly leaves them out.
where periods.period_date is null
  and events.is_activity
  and not events.is_future
  and (events.event_timestamp >= timestamptz '2015-01-01 00:00:00+00' or coalesce(events.source, '') like 'import:%')
group by events.app_id, events.event_date
