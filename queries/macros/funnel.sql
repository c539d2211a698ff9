-- One row per value of the breakdown and step: how many subjects came that far.
-- Clock: occurred_at; days of the app's zone. At one moment, events stand in the order of their records (_topic_id, _partition, _offset).
--
-- An attempt begins with a matching event on one of the days, and ends `within` after it, that very moment included, be it after to_date.
-- A subject counts once, with the attempt that gets furthest; of those the one that gets there first; of those the one that began last.
-- An event serves one step only.
--   strict: the attempt begins with the first step; each further step is the next event after the one before it that matches.
--   any:    step n counts when steps 1 to n were all done, in whatever order. A step that stands twice needs two events, and an event
--           that matches several different steps serves the first of them.
--
-- steps VARCHAR[]: at least one step, as parse_step reads them, for example ['_session.start', 'purchase[category=shoes|boots]'].
-- from_date, to_date DATE or text: the first and the last day on which an attempt may begin.
-- app VARCHAR := null: one app; null is all. A subject is one of its app.
-- within INTERVAL or text := 1 day: at least a millisecond; a month is 30 days.
-- by VARCHAR := null: a column (see breakdown) or an attribute of the event that the attempt begins with.
-- order_by VARCHAR := 'strict', or 'any'. subject VARCHAR := 'endpoint', or 'user' (an endpoint without a user is its own).
-- Errors: no steps, a step that cannot be read, dates that are none or in the wrong order, a window that is none, another order or subject, an attribute or
-- metric of a step or an attribute to break down by that no such event has (check_names).
--
-- rate_from_first, rate_from_previous: shares of the subjects of step 1 and of the step before; null when these are none.
-- median_secs_from_first: from the attempt's beginning until steps 1 to n were all done. median_secs_from_previous: since steps 1 to n - 1 were.
create macro funnel(
    steps, from_date, to_date, app := null, within := interval '1 day', "by" := null, order_by := 'strict', subject := 'endpoint'
) as table
with recursive
arguments as materialized (
    select
        check_range(from_date, to_date) as days,
        epoch_ms(check_interval(within, 'within')) as within_ms,
        check_choice(order_by, 'order_by', ['strict', 'any']) = 'any' as is_any_order,
        check_choice(subject, 'subject', ['endpoint', 'user']) as subject_kind,
        case
            when coalesce(len(steps), 0) = 0 then error('steps is empty; expected at least one step, for example [''_session.start'']')
            else steps
        end as given_steps
),

step_texts as (
    select unnest(given_steps) as step_text, generate_subscripts(given_steps, 1) as step_no
    from arguments
    -- Never false: a wrong argument is an error, also when there is no event that it would be asked of.
    where days.to_date is not null and within_ms > 0 and is_any_order is not null and subject_kind is not null
),

copies as (
    select
        step_no,
        parse_step(step_text) as wanted,
        min(step_no) over (partition by step_text) as first_place,
        row_number() over (partition by step_text order by step_no) as copy_no
    from step_texts
),

parsed_steps as materialized (
    select
        copies.step_no,
        copies.wanted,
        -- The how many-th event ahead that matches is meant: in any order a step that stands twice needs two.
        case when order_by = 'any' then copies.copy_no else 1 end as nth,
        -- Steps before it, which take its events away in any order.
        coalesce(list(rivals.wanted) filter (rivals.step_no is not null), []) as rivals
    from copies
    left join copies as rivals on order_by = 'any' and rivals.step_no < copies.first_place
    group by all
),

matches as materialized (
    select
        parsed_steps.step_no,
        events.app_id,
        subject_key(arguments.subject_kind, events.endpoint_id, events.user_id) as subject_id,
        epoch_ms(events.occurred_at) as at_ms,
        events._topic_id,
        events._partition,
        events._offset,
        lies_in_days(events.occurred_at, app_zone(events.app_id), arguments.days.from_date, arguments.days.to_date) as is_start,
        breakdown(
            "by", events.attributes, events.app_id, events.platform, events.platform_version, events.make, events.model,
            events.app_version_name, events.country, events.language, events.channel, events.campaign_id, events.treatment_id,
            events.journey_id, events.traffic
        ) as by_value
    from core.events as events
    cross join arguments
    inner join parsed_steps
        on events.event_type = parsed_steps.wanted.event_type
        and event_matches(events.event_type, events.attributes, events.metrics, parsed_steps.wanted)
        and len(
            list_filter(parsed_steps.rivals, lambda rival: event_matches(events.event_type, events.attributes, events.metrics, rival))
        ) = 0
    -- What lies before the days is part of no attempt, what lies so long after them neither.
    where epoch_ms(events.occurred_at) >= epoch_ms(arguments.days.from_date::timestamp) - 86400000
        and epoch_ms(events.occurred_at) < epoch_ms(arguments.days.to_date::timestamp) + 172800000 + arguments.within_ms
        and (app is null or events.app_id = app)
        -- An event without an endpoint is nobody's.
        and coalesce(events.endpoint_id, '') <> ''
),

-- What steps name that nobody did, and what nobody can be told apart by: misspelt, or just not there on these days.
names as (
    select unnest(names_asked('steps', step_text)) as name
    from step_texts
    anti join matches using (step_no)
    union all
    select {
        'argument': 'by',
        'given': "by"::varchar,
        'kind': 'attribute',
        'name': "by"::varchar,
        -- In strict order an attempt begins with the first step, in any order with any.
        'event_types': (select list(distinct wanted.event_type order by wanted.event_type) from parsed_steps where order_by = 'any' or step_no = 1),
        'others': breakdown_columns()
    }
    where not list_contains(breakdown_columns(), "by") and not exists (
        from matches where is_start and by_value is not null and (order_by = 'any' or step_no = 1)
    )
),

subjects as materialized (
    select row_number() over () as subject_no, app_id, subject_id from (select distinct app_id, subject_id from matches)
),

-- The events of a subject, numbered; an event that matches several steps has a row for each, under one number.
numbered as materialized (
    select
        subjects.subject_no,
        matches.step_no,
        matches.at_ms,
        matches.is_start,
        matches.by_value,
        dense_rank() over (
            partition by subjects.subject_no order by matches.at_ms, matches._topic_id, matches._partition, matches._offset
        ) as event_no
    from matches
    inner join subjects using (app_id, subject_id)
),

-- One row per attempt and step that it reaches. first_no and last_no are the first and last event that it used, after_no is where it looks on.
walks as (
    select
        1 as step_no,
        subject_no,
        event_no as start_no,
        at_ms as start_ms,
        event_no as after_no,
        event_no as first_no,
        event_no as last_no,
        at_ms as done_ms
    from numbered
    -- In strict order an attempt begins with the first step, on one of the days.
    where order_by = 'strict' and step_no = 1 and is_start
    union all
    select distinct 0, subject_no, event_no, at_ms, event_no - 1, null, null, at_ms
    from numbered
    -- In any order it begins with any of them.
    where order_by = 'any' and is_start
    union all
    select
        step_no + 1,
        subject_no,
        start_no,
        start_ms,
        case when is_any_order then after_no else next_no end,
        least(first_no, next_no),
        greatest(last_no, next_no),
        greatest(done_ms, next_ms)
    from (
        select
            *,
            lead(event_no, nth ignore nulls) over ahead as next_no,
            lead(at_ms, nth ignore nulls) over ahead as next_ms
        from (
            select walks.*, parsed_steps.nth, null as event_no, null as at_ms, walks.after_no as place, true as is_walk
            from walks
            inner join parsed_steps on parsed_steps.step_no = walks.step_no + 1
            union all by name
            select subject_no, event_no, at_ms, event_no as place, false as is_walk
            from numbered
            where step_no = (select any_value(step_no) + 1 from walks)
        )
        window ahead as (partition by subject_no order by place, is_walk)
    )
    cross join arguments
    -- An attempt ends where no further event matches within its time.
    where is_walk and next_ms - start_ms <= within_ms
),

reached as (
    select subject_no, max(step_no) as reached_no, arg_max(start_no, (step_no, -last_no, start_no)) as start_no
    from walks
    -- In any order, an attempt that did not use the event it begins with is another one, that begins later.
    where step_no > 0 and first_no = start_no
    group by subject_no
),

chosen as (
    select
        walks.subject_no,
        walks.step_no,
        (walks.done_ms - walks.start_ms) / 1000 as secs_from_first,
        (walks.done_ms - lag(walks.done_ms) over (partition by walks.subject_no order by walks.step_no)) / 1000 as secs_from_previous,
        starts.by_value
    from reached
    inner join walks
        on walks.subject_no = reached.subject_no and walks.start_no = reached.start_no and walks.step_no between 1 and reached.reached_no
    inner join (select distinct subject_no, event_no, by_value from numbered where is_start) as starts
        on starts.subject_no = reached.subject_no and starts.event_no = reached.start_no
),

counted as (
    select
        by_value,
        step_no,
        count(*) as subject_count,
        median(secs_from_previous) as median_secs_from_previous,
        median(secs_from_first) as median_secs_from_first
    from chosen
    group by all
),

by_values as (
    select distinct by_value from counted
    union all
    -- Nobody at all is a row of zeros for each step.
    select null where not exists (from counted)
)

select
    by_values.by_value,
    step_texts.step_no,
    step_texts.step_text as step,
    coalesce(counted.subject_count, 0) as subject_count,
    coalesce(counted.subject_count, 0) / nullif(first_value(coalesce(counted.subject_count, 0)) over of_value, 0) as rate_from_first,
    case when step_texts.step_no > 1 then
        coalesce(counted.subject_count, 0) / nullif(lag(coalesce(counted.subject_count, 0)) over of_value, 0)
    end as rate_from_previous,
    counted.median_secs_from_previous,
    counted.median_secs_from_first
from by_values
cross join step_texts
left join counted on counted.by_value is not distinct from by_values.by_value and counted.step_no = step_texts.step_no
-- Never false: a name that no event has is an error.
where (select is_known from check_names((select list(name) from names), app))
window of_value as (partition by by_values.by_value order by step_texts.step_no)
order by by_values.by_value, step_texts.step_no
