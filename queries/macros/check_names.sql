-- One row per call: is_known, true. Else an error, which says the attribute or metric that no event has, and the nearest that there are.
-- asked: list of STRUCT(argument, given, kind, name VARCHAR, event_types, others VARCHAR[]), null or empty for nothing:
--     argument and given are what the caller was called with, for the error; kind is 'attribute' or 'metric'; others are names that would do as well.
-- app VARCHAR := null: one app; null is all.
-- A name is known when any event of one of these types has it, on whatever day: a week without a coupon is a week of zeros. Where there is no such event at all
-- nothing can be said, and all is known. Callers ask only of names that no event they found has: of nothing asked no event is read.
create macro check_names(asked, app := null) as table
with
names as materialized (
    select row_number() over () as name_no, name
    from (select unnest(asked) as name)
),

name_types as (
    select name_no, name.kind as kind, unnest(name.event_types) as event_type
    from names
),

-- With '' for each event, so that events that have no name at all are seen.
known as (
    select distinct
        name_types.name_no,
        unnest(
            case name_types.kind when 'metric' then map_keys(events.metrics) else map_keys(events.attributes) end || ['']
        ) as known_name
    from core.events as events
    inner join name_types on events.event_type = name_types.event_type
    where app is null or events.app_id = app
),

unknown as (
    select names.name, list(known.known_name) as known_names
    from names
    inner join known using (name_no)
    group by names.name_no, names.name
    having not list_contains(known_names, names.name.name)
    -- One error at a time, the first argument's first.
    order by names.name_no
    limit 1
)

select
    coalesce(
        bool_and(error(format(
            '{} is ''{}''; no event {} has the {} ''{}''. Expected one that such events have{}.',
            name.argument,
            name.given,
            array_to_string(name.event_types[1:5], ', ') || case when len(name.event_types) > 5 then ', ...' else '' end,
            name.kind,
            name.name,
            coalesce('; the nearest are ' || nullif(array_to_string(near_names(name.name, name.others || known_names), ', '), ''), ', and they have none')
        ))::boolean),
        true
    ) as is_known
from unknown
