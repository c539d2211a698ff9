-- One row per source: the conversions, and their value, that it is credited with.
-- Clock: occurred_at of the conversion, in the app's zone; a touch counts when it lies at most `within` before the conversion, exactly that included, or at its moment.
--
-- A touch is one of:
--   a message that a person opened or clicked (core.deliveries; machines do not count): one touch a message and endpoint, at its first open or its first click,
--   whichever of the two is the last before the conversion or at its moment. What is opened or clicked after the conversion changes nothing of it.
--   Its source is its campaign, its journey, or its channel where it belongs to neither.
--   a session (core.sessions) that began without a message: none of the subject's messages was first opened or first clicked within the 30 minutes before (the
--   session gap, a setting), that very moment included. Its source is `source_attribute` of its first event that has it, else it is direct.
-- Touches at one moment stand in the order of source_kind and then of source, by their letters: 'last' takes b of the campaigns a and b.
-- A conversion without a touch has the source none, so that all conversions are there.
--
-- conversion VARCHAR: a step, for example '_monetization.purchase'. Each such event of a subject is a conversion.
-- from_date, to_date DATE or text: days on which it happened. app VARCHAR := null: one app; null is all.
-- model VARCHAR := 'last': all credit to the last touch; 'first': to the first; 'last_non_direct': to the last that is not direct, to the last where all are;
--     'linear': equal shares; 'position': 40 % to the first, 40 % to the last, the rest equally between them (two touches: half each).
-- within INTERVAL or text := 7 days: at least a millisecond; a month is 30 days.
-- value VARCHAR := null: a metric of the conversion to share out, or 'revenue' (price times quantity as core.purchases has it); null leaves value null.
-- subject VARCHAR := 'user', or 'endpoint'. The user, because a mail goes to an address and the purchase comes from a phone. What names none is of the user whom
--     its endpoint named last (endpoint_users); an endpoint that never named one is its own.
-- source_attribute VARCHAR := 'utm_source'.
-- Errors: a conversion that cannot be read, dates that are none or in the wrong order, another model or subject, a window that is none, an attribute or metric of the
-- conversion or a value that no such event has (check_names).
--
-- conversion_count is a sum of shares; of all rows it is the number of conversions. touched_count: conversions with a touch of the source within the window.
create macro attribution(
    conversion, from_date, to_date, app := null, model := 'last', within := interval '7 days', value := null, subject := 'user',
    source_attribute := 'utm_source'
) as table
with
arguments as materialized (
    select
        check_range(from_date, to_date) as days,
        check_choice(model, 'model', ['first', 'last', 'last_non_direct', 'linear', 'position']) as model_name,
        check_choice(subject, 'subject', ['endpoint', 'user']) as subject_kind,
        epoch_ms(check_interval(within, 'within')) as within_ms,
        parse_step(conversion) as wanted,
        (select session_gap_mins from main.settings) * 60000 as gap_ms
),

-- Whose an endpoint is, where an event does not say it itself.
known_users as materialized (
    select *
    from endpoint_users(app, check_date(to_date, 'to_date'))
    -- Endpoints are subjects of their own.
    where subject = 'user'
),

conversions as materialized (
    select
        row_number() over () as conversion_no,
        events.app_id,
        subject_key(arguments.subject_kind, events.endpoint_id, coalesce(nullif(events.user_id, ''), known_users.user_id)) as subject_id,
        epoch_ms(events.occurred_at) as converted_ms,
        case value
            when 'revenue' then events.metrics['_item_price'] * coalesce(events.metrics['_quantity'], 1)
            else events.metrics[value]
        end as worth
    from core.events as events
    inner join arguments
        on events.event_type = arguments.wanted.event_type
        and event_matches(events.event_type, events.attributes, events.metrics, arguments.wanted)
    left join known_users using (app_id, endpoint_id)
    -- An event without an endpoint is nobody's.
    where lies_in_days(events.occurred_at, app_zone(events.app_id), arguments.days.from_date, arguments.days.to_date)
        and (app is null or events.app_id = app)
        and coalesce(events.endpoint_id, '') <> ''
        -- No zone is two days from UTC: files of other days need not be read. But an e-mail's event has the time when the mail was sent, long before.
        and (
            replace(conversion, '\', '') ilike '%\_email.%' escape '\'
            or (
                events.event_timestamp >= (coalesce(try_cast(from_date::varchar as date), date '0001-01-03') - 2)::timestamptz
                and events.event_timestamp < (coalesce(try_cast(to_date::varchar as date), date '9999-12-31') + 3)::timestamptz
            )
        )
),

-- What the arguments name and no conversion has: misspelt, or just not there on these days.
names as (
    select unnest(names_asked('conversion', conversion)) as name
    where not exists (from conversions)
    union all
    select {
        'argument': 'value',
        'given': value::varchar,
        'kind': 'metric',
        'name': value::varchar,
        'event_types': [wanted.event_type],
        'others': ['revenue']
    }
    from arguments
    where value <> 'revenue' and not exists (from conversions where worth is not null)
),

message_moments as (
    select
        deliveries.app_id,
        subject_key(arguments.subject_kind, deliveries.endpoint_id, coalesce(nullif(deliveries.user_id, ''), known_users.user_id)) as subject_id,
        -- One where it was opened and clicked at once.
        unnest(list_distinct([epoch_ms(deliveries.opened_at), epoch_ms(deliveries.clicked_at)])) as touched_ms,
        epoch_ms(greatest(deliveries.opened_at, deliveries.clicked_at)) as last_ms,
        case
            when coalesce(deliveries.campaign_id, '') <> '' then 'campaign'
            when coalesce(deliveries.journey_id, '') <> '' then 'journey'
            else 'message'
        end as source_kind,
        coalesce(nullif(deliveries.campaign_id, ''), nullif(deliveries.journey_id, ''), deliveries.channel) as source
    from core.deliveries as deliveries
    cross join arguments
    left join known_users using (app_id, endpoint_id)
    -- What nobody opened touched nobody.
    where coalesce(deliveries.opened_at, deliveries.clicked_at) is not null
        and (app is null or deliveries.app_id = app)
),

message_touches as (
    select
        message_moments.app_id,
        message_moments.subject_id,
        message_moments.touched_ms,
        message_moments.source_kind,
        message_moments.source,
        -- From then on the message's other moment is its touch.
        case when message_moments.last_ms > message_moments.touched_ms then message_moments.last_ms end as replaced_ms
    from message_moments
    cross join arguments
    -- What lies before every window touches no conversion and brought no session of one, what comes after the days neither.
    where message_moments.touched_ms
        between epoch_ms(arguments.days.from_date::timestamp) - 86400000 - arguments.within_ms - arguments.gap_ms
        and epoch_ms(arguments.days.to_date::timestamp) + 172800000
),

session_sources as (
    select app_id, endpoint_id, session_id, arg_min(attributes[source_attribute], event_timestamp) as source
    from core.session_events
    where attributes[source_attribute] is not null
        and (app is null or app_id = app)
    group by app_id, endpoint_id, session_id
),

session_starts as (
    select
        sessions.app_id,
        subject_key(arguments.subject_kind, sessions.endpoint_id, coalesce(nullif(sessions.user_id, ''), known_users.user_id)) as subject_id,
        epoch_ms(sessions.started_at) as touched_ms,
        case when session_sources.source is null then 'direct' else 'session' end as source_kind,
        session_sources.source,
        null::bigint as replaced_ms
    from core.sessions as sessions
    cross join arguments
    left join session_sources using (app_id, endpoint_id, session_id)
    left join known_users using (app_id, endpoint_id)
    -- What lies before every window touches no conversion, what comes after the days neither.
    where (app is null or sessions.app_id = app)
        and epoch_ms(sessions.started_at)
        between epoch_ms(arguments.days.from_date::timestamp) - 86400000 - arguments.within_ms
        and epoch_ms(arguments.days.to_date::timestamp) + 172800000
),

touches as (
    from message_touches
    union all
    select session_starts.*
    from session_starts
    cross join arguments
    asof left join message_touches
        on session_starts.app_id = message_touches.app_id
        and session_starts.subject_id = message_touches.subject_id
        and session_starts.touched_ms >= message_touches.touched_ms
    -- A session that a message brought is that message's touch.
    where coalesce(session_starts.touched_ms - message_touches.touched_ms > arguments.gap_ms, true)
),

numbered as (
    select
        conversions.conversion_no,
        conversions.worth,
        coalesce(touches.source_kind, 'none') as source_kind,
        touches.source,
        row_number() over in_order as touch_no,
        count(*) over (partition by conversions.conversion_no) as touch_count,
        -- The last that is not direct: where there are such, those that are direct stand behind them all.
        row_number() over (
            partition by conversions.conversion_no
            order by touches.source_kind is not distinct from 'direct', touches.touched_ms desc, touches.source_kind desc, touches.source desc
        ) as non_direct_no
    from conversions
    cross join arguments
    left join touches
        on touches.app_id = conversions.app_id
        and touches.subject_id = conversions.subject_id
        and touches.touched_ms between conversions.converted_ms - arguments.within_ms and conversions.converted_ms
        and coalesce(conversions.converted_ms < touches.replaced_ms, true)
    window in_order as (partition by conversions.conversion_no order by touches.touched_ms, touches.source_kind, touches.source)
),

credited as (
    select
        numbered.*,
        case arguments.model_name
            when 'first' then (touch_no = 1)::integer
            when 'last' then (touch_no = touch_count)::integer
            when 'last_non_direct' then (non_direct_no = 1)::integer
            when 'linear' then 1 / touch_count
            when 'position' then
                case
                    when touch_count = 1 then 1
                    when touch_count = 2 then 0.5
                    when touch_no in (1, touch_count) then 0.4
                    else 0.2 / (touch_count - 2)
                end
        end::double as credit
    from numbered
    cross join arguments
)

select
    source_kind,
    source,
    sum(credit) as conversion_count,
    sum(credit * worth) as value,
    count(distinct conversion_no) as touched_count
from credited
-- Never false: a name that no event has is an error.
where (select is_known from check_names((select list(name) from names), app))
group by source_kind, source
order by conversion_count desc, source_kind, source
