-- One row per path: what sessions did, step by step, and how many did just that.
-- Clock: event_timestamp; a session counts on its day in the app's zone. At one moment, events stand in the order of their records.
-- A path is the steps of one session. Events of one name that follow each other are one step. A session gives one path, or none.
--
-- from_date, to_date DATE or text: first and last day. app VARCHAR := null: one app; null is all.
-- start_event VARCHAR := null: a step, for example 'screen.view[screen=home]'; a path begins with the session's first such event.
-- end_event VARCHAR := null: a step; a path ends with the first such event after its beginning (or at it). Sessions without a start or an end that is asked for
--     have no path.
-- steps_max INTEGER := 5: at least 1; of a longer path its first steps, with end_event its last.
-- label VARCHAR := null: an attribute that belongs to the name of a step where an event has it: 'screen' makes screen.view[screen=home] of screen.view.
-- Errors: an event that cannot be read, dates that are none or in the wrong order, fewer steps than 1, an attribute or metric that no such event has (check_names).
--
-- rate: of all sessions with a path. endpoint_count: distinct endpoints. median_secs: from the first step to the last one shown.
create macro paths(from_date, to_date, app := null, start_event := null, end_event := null, steps_max := 5, label := null) as table
with
arguments as materialized (
    select
        check_range(from_date, to_date) as days,
        case
            when try_cast(steps_max as integer) >= 1 then steps_max::integer
            else error('steps_max is ''' || coalesce(steps_max::varchar, 'null') || '''; expected a number of steps, at least 1')
        end as step_limit,
        case when start_event is not null then parse_step(start_event) end as first_wanted,
        case when end_event is not null then parse_step(end_event) end as last_wanted
),

session_events as (
    select
        events.app_id,
        events.endpoint_id,
        events.session_id,
        events.event_timestamp,
        case when events.attributes[label] is null then events.event_type
            else events.event_type || '[' || label || '=' || events.attributes[label] || ']'
        end as step_name,
        events.event_type,
        events.attributes[label] is not null as is_labelled,
        row_number() over in_session as event_no,
        arguments.first_wanted is null
        or event_matches(events.event_type, events.attributes, events.metrics, arguments.first_wanted) as is_start,
        arguments.last_wanted is not null
        and event_matches(events.event_type, events.attributes, events.metrics, arguments.last_wanted) as is_end,
        arguments.last_wanted is not null as has_end,
        arguments.step_limit
    from core.session_events as events
    inner join core.sessions as sessions using (app_id, endpoint_id, session_id)
    cross join arguments
    where sessions.session_date between arguments.days.from_date and arguments.days.to_date
        and (app is null or events.app_id = app)
    window in_session as (
        partition by events.app_id, events.endpoint_id, events.session_id
        order by events.event_timestamp, events._topic_id, events._partition, events._offset
    )
),

-- What the arguments name and no event of a session has: misspelt, or just not there on these days.
names as (
    select unnest(names_asked('start_event', start_event)) as name
    where not exists (from session_events where is_start)
    union all
    select unnest(names_asked('end_event', end_event))
    where not exists (from session_events where is_end)
    union all
    select {
        'argument': 'label',
        'given': label::varchar,
        'kind': 'attribute',
        'name': label::varchar,
        'event_types': (select list(distinct event_type order by event_type) from session_events),
        'others': []::varchar[]
    }
    where label is not null and not exists (from session_events where is_labelled)
),

begun as (
    select *
    from session_events
    -- What lies before the beginning is not on the path.
    qualify event_no >= min(event_no) filter (is_start) over (partition by app_id, endpoint_id, session_id)
),

bounded as (
    select *
    from begun
    -- What lies after the end is not on the path; without the end there is no path.
    qualify not has_end or event_no <= min(event_no) filter (is_end) over (partition by app_id, endpoint_id, session_id)
),

named as (
    select *
    from bounded
    -- The same again is the same step.
    qualify step_name is distinct from lag(step_name) over (partition by app_id, endpoint_id, session_id order by event_no)
),

shown as (
    select *
    from named
    -- Of a long path its first steps, or its last ones before the end.
    qualify case when has_end then row_number() over (partition by app_id, endpoint_id, session_id order by event_no desc)
        else row_number() over (partition by app_id, endpoint_id, session_id order by event_no)
    end <= step_limit
),

session_paths as (
    select
        app_id,
        endpoint_id,
        list(step_name order by event_no) as path,
        (epoch_ms(max(event_timestamp)) - epoch_ms(min(event_timestamp))) / 1000 as secs
    from shown
    group by app_id, endpoint_id, session_id
)

select
    path,
    len(path) as step_count,
    count(*) as session_count,
    count(distinct {'app_id': app_id, 'endpoint_id': endpoint_id}) as endpoint_count,
    count(*) / sum(count(*)) over () as rate,
    median(secs) as median_secs
from session_paths
-- Never false: a name that no event has is an error.
where (select is_known from check_names((select list(name) from names), app))
group by path
order by session_count desc, path
