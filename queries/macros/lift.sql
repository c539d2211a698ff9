-- One row per treatment of a campaign, and one for all of them (treatment_id null): how many converted, against the holdout.
-- Clock: occurred_at; the day on which it was decided to send, in the app's zone.
--
-- A subject is in the group that its first `_campaign.send` of the campaign on those days with the status SUCCESS or HOLDOUT put it in: treated by SUCCESS, held out by
-- HOLDOUT. Any other campaign_send_status (a cap, quiet time, a failure) decides nothing: it is passed over, and whoever has no other is in no group. Of decisions at
-- one moment HOLDOUT counts before SUCCESS, and of treatments that whose id comes first by its letters. It converted when an event matches after that moment and at
-- most `within` later, exactly that included; once, however many events there are. A holdout belongs to the campaign, and all treatments are compared with it.
--
-- campaign_id VARCHAR. conversion VARCHAR: a step, for example '_monetization.purchase'.
-- from_date, to_date DATE or text := null: first and last day of sending; null is any. app VARCHAR := null: one app; null is all.
-- within INTERVAL or text := 7 days: at least a millisecond; a month is 30 days.
-- subject VARCHAR := 'user', or 'endpoint'. The user, because a mail goes to an address and the purchase comes from a phone. An event that names none is of the user
--     whom its endpoint named last (endpoint_users); an endpoint that never named one is its own.
-- Errors: no campaign, one that no event names while others are named, a conversion that cannot be read, dates that are none or in the wrong order, a window that is none, another subject, an attribute or metric of
-- the conversion that no such event has (check_names).
--
-- rates have 95 % intervals after Wilson (wilson_low, wilson_high). lift is treated_rate - holdout_rate, its 95 % interval that of Newcombe (1998, method 10,
-- hybrid score): independent samples, no correction for continuity. lift_ratio is lift / holdout_rate. is_significant: the interval does not hold 0. Null where a group is
-- empty. A subject whose conversion comes too late for the window, or has not come yet, did not convert: ask for days that are at least `within` ago.
create macro lift(
    campaign_id, conversion, from_date := null, to_date := null, app := null, within := interval '7 days', subject := 'user'
) as table
with
arguments as materialized (
    select
        check_range(coalesce(from_date::varchar, '1970-01-01'), coalesce(to_date::varchar, '9999-12-31')) as days,
        epoch_ms(check_interval(within, 'within')) as within_ms,
        case
            when coalesce(campaign_id, '') = '' then error('campaign_id is empty; expected the id of a campaign, as core.campaigns has it')
            else campaign_id::varchar
        end as campaign,
        check_choice(subject, 'subject', ['endpoint', 'user']) as subject_kind,
        parse_step(conversion) as wanted
),

-- Whose an endpoint is, where an event does not say it itself.
known_users as materialized (
    select *
    from endpoint_users(app)
    -- Endpoints are subjects of their own.
    where subject = 'user'
),

sends as (
    select
        events.app_id,
        subject_key(arguments.subject_kind, events.endpoint_id, coalesce(nullif(events.user_id, ''), known_users.user_id)) as subject_id,
        coalesce(events.treatment_id, '0') as treatment,
        events.attributes['campaign_send_status'] as send_status,
        epoch_ms(events.occurred_at) as sent_ms
    from core.events as events
    cross join arguments
    left join known_users using (app_id, endpoint_id)
    where events.event_type = '_campaign.send'
        and events.campaign_id = arguments.campaign
        and (app is null or events.app_id = app)
        -- An event without an endpoint is nobody's.
        and coalesce(events.endpoint_id, '') <> ''
        -- What was decided on other days.
        and lies_in_days(events.occurred_at, app_zone(events.app_id), arguments.days.from_date, arguments.days.to_date)
        -- A cap or a failure decides nothing: the next try may.
        and events.attributes['campaign_send_status'] in ('SUCCESS', 'HOLDOUT')
        -- No zone is two days from UTC: files of other days need not be read.
        and events.event_timestamp >= (coalesce(try_cast(from_date::varchar as date), date '0001-01-03') - 2)::timestamptz
        and events.event_timestamp < (coalesce(try_cast(to_date::varchar as date), date '9999-12-31') + 3)::timestamptz
),

groups as (
    select *, send_status = 'HOLDOUT' as is_holdout
    from sends
    -- The first decision counts; at one moment HOLDOUT, whose letters come first.
    qualify row_number() over (partition by app_id, subject_id order by sent_ms, send_status, treatment) = 1
),

conversions as (
    select
        events.app_id,
        subject_key(arguments.subject_kind, events.endpoint_id, coalesce(nullif(events.user_id, ''), known_users.user_id)) as subject_id,
        epoch_ms(events.occurred_at) as converted_ms
    from core.events as events
    inner join arguments
        on events.event_type = arguments.wanted.event_type
        and event_matches(events.event_type, events.attributes, events.metrics, arguments.wanted)
    left join known_users using (app_id, endpoint_id)
    -- Of another app, or nobody's.
    where (app is null or events.app_id = app)
        and coalesce(events.endpoint_id, '') <> ''
        -- What is too early or too late for every decision need not be read: a zone is less than two days from UTC, a month of the calendar at most two shorter
        -- than thirty days. But an e-mail's event has the time when the mail was sent, long before.
        and (
            replace(conversion, '\', '') ilike '%\_email.%' escape '\'
            or (
                events.event_timestamp >= (coalesce(try_cast(from_date::varchar as date), date '0001-01-03') - 2)::timestamptz
                and events.event_timestamp < (coalesce(try_cast(to_date::varchar as date), date '9999-12-31') + 5)::timestamptz
                    + coalesce(try_cast(within::varchar as interval), interval 0 days)
            )
        )
),

-- What the conversion names, when there is none: misspelt, or just not there yet.
names as (
    select unnest(names_asked('conversion', conversion)) as name
    where not exists (from conversions)
),

-- The campaigns that events name, asked for only when nothing of this one was decided: misspelt, or just on other days.
known_campaigns as (
    select list(distinct events.campaign_id) as known_ids
    from core.events as events
    where not exists (from groups)
        and events.campaign_id <> ''
        and (app is null or events.app_id = app)
),

outcomes as (
    select
        groups.treatment,
        groups.is_holdout,
        coalesce(conversions.converted_ms - groups.sent_ms <= arguments.within_ms, false) as is_converted
    from groups
    cross join arguments
    -- The next conversion after the decision: none of the others is nearer.
    asof left join conversions
        on groups.app_id = conversions.app_id
        and groups.subject_id = conversions.subject_id
        and groups.sent_ms < conversions.converted_ms
),

held_out as (
    select count(*) as holdout_count, count(*) filter (is_converted) as holdout_converted_count
    from outcomes
    where is_holdout
),

treated as (
    select treatment, count(*) as treated_count, count(*) filter (is_converted) as treated_converted_count
    from outcomes
    where not is_holdout
    -- Each treatment, and all of them; without any there is the row of all.
    group by grouping sets ((treatment), ())
),

rates as (
    select
        treated.treatment,
        treated.treated_count,
        treated.treated_converted_count,
        treated.treated_converted_count / nullif(treated.treated_count, 0) as treated_rate,
        wilson_low(treated.treated_converted_count, treated.treated_count) as treated_rate_low,
        wilson_high(treated.treated_converted_count, treated.treated_count) as treated_rate_high,
        held_out.holdout_count,
        held_out.holdout_converted_count,
        held_out.holdout_converted_count / nullif(held_out.holdout_count, 0) as holdout_rate,
        wilson_low(held_out.holdout_converted_count, held_out.holdout_count) as holdout_rate_low,
        wilson_high(held_out.holdout_converted_count, held_out.holdout_count) as holdout_rate_high
    from treated
    cross join held_out
),

differences as (
    select
        *,
        treated_rate - holdout_rate as difference,
        treated_rate - holdout_rate - sqrt((treated_rate - treated_rate_low) ** 2 + (holdout_rate_high - holdout_rate) ** 2) as difference_low,
        treated_rate - holdout_rate + sqrt((treated_rate_high - treated_rate) ** 2 + (holdout_rate - holdout_rate_low) ** 2) as difference_high
    from rates
)

select
    treatment as treatment_id,
    treated_count,
    treated_converted_count,
    treated_rate,
    treated_rate_low,
    treated_rate_high,
    holdout_count,
    holdout_converted_count,
    holdout_rate,
    holdout_rate_low,
    holdout_rate_high,
    difference as lift,
    difference_low as lift_low,
    difference_high as lift_high,
    difference / nullif(holdout_rate, 0) as lift_ratio,
    difference_low > 0 or difference_high < 0 as is_significant
from differences
-- Never false: a name that no event has is an error.
where (select is_known from check_names((select list(name) from names), app))
    and (
        -- Where no event names a campaign nothing can be said.
        select
            case
                when known_ids is null or list_contains(known_ids, campaign_id) then true
                else
                    error(format(
                        'campaign_id is ''{}''; no event{} names that campaign. Expected one that events name; the nearest are {}.',
                        campaign_id,
                        coalesce(' of ' || app, ''),
                        array_to_string(near_names(campaign_id, known_ids), ', ')
                    ))::boolean
            end
        from known_campaigns
    )
order by treatment nulls first
