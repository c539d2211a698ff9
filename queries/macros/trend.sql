-- One row per value of the breakdown and period: the number, and whether it is out of the ordinary.
-- Clock: occurred_at; days and hours of the app's zone. Periods are whole: a week or month that the days only touch is counted in full.
-- A period without an event is a row of 0. On the day when clocks go back, the hour that comes twice is one row; when they go forward, the hour that is left out has none,
-- unless an app of another zone has events in it. An hour that is longer or shorter than one is no anomaly and not part of a later band.
--
-- event VARCHAR: a step, for example 'purchase[category=shoes]'.
-- from_date, to_date DATE or text: first and last day. app VARCHAR := null: one app; null is all.
-- measure VARCHAR := 'events', 'subjects' (distinct ones, of their app) or 'sum:<metric>', for example 'sum:_item_price'.
-- period VARCHAR := 'day', 'week' (from Monday), 'month' or 'hour'.
-- by VARCHAR := null: a column (see breakdown) or an attribute of the event.
-- subject VARCHAR := 'endpoint', or 'user'. as_of TIMESTAMPTZ or text := null: the moment that counts as now; null is now.
-- Errors: an event that cannot be read, dates that are none or in the wrong order, another measure, period or subject, a moment that is none, an attribute or
-- metric that no such event has (check_names).
--
-- expected, expected_low, expected_high: from the periods before: the same weekday (and hour) of the 8 weeks before, or the 8 weeks or months before.
-- Periods before the first event do not count: of the apps that have one in the periods compared, the first of the first of them. The middle is their median, the band three times their scatter to either side: 1.4826 times the median
-- absolute deviation, and at least the square root of the median for counts, a twentieth of it for sums. With fewer than 4 such periods there
-- is no band, and nothing is an anomaly. is_running: the period is not over; it is no anomaly and not part of a later band.
create macro trend(
    event, from_date, to_date, app := null, measure := 'events', period := 'day', "by" := null, subject := 'endpoint', as_of := null
) as table
with
arguments as materialized (
    select
        check_choice(period, 'period', ['day', 'week', 'month', 'hour']) as period_kind,
        check_choice(subject, 'subject', ['endpoint', 'user']) as subject_kind,
        check_choice(split_part(measure, ':', 1), 'measure', ['events', 'subjects', 'sum']) as measure_kind,
        case
            when split_part(measure, ':', 1) = 'sum' and split_part(measure, ':', 2) = ''
            then error('measure is ''' || measure || '''; expected a metric to sum, for example ''sum:_item_price''')
            else split_part(measure, ':', 2)
        end as metric_name,
        parse_step(event) as wanted,
        case period
            when 'hour' then check_range(from_date, to_date).from_date
            else period_date(check_range(from_date, to_date).from_date, period)
        end::timestamp as first_at,
        case period
            when 'hour' then check_range(from_date, to_date).to_date + interval 23 hours
            else period_date(check_range(from_date, to_date).to_date, period)
        end as last_at,
        case period
            when 'month' then interval 1 month
            when 'week' then interval 7 days
            when 'day' then interval 1 day
            else interval 1 hour
        end as period_length,
        -- So far apart lie the periods that are compared.
        case period when 'month' then interval 1 month else interval 7 days end as season_length,
        app_zone(app) as zone,
        case
            when as_of is null then get_current_timestamp()
            else coalesce(
                try_cast(as_of as timestamptz),
                error('as_of is ''' || as_of || '''; expected a moment, for example ''2026-11-23T12:00:00Z''')
            )
        end at time zone app_zone(app) as local_now
),

matches as (
    select
        breakdown(
            "by", events.attributes, events.app_id, events.platform, events.platform_version, events.make, events.model,
            events.app_version_name, events.country, events.language, events.channel, events.campaign_id, events.treatment_id,
            events.journey_id, events.traffic
        ) as by_value,
        case period
            when 'hour' then
                local_date(events.occurred_at, app_zone(events.app_id)) + to_hours(local_hour(events.occurred_at, app_zone(events.app_id)))
            else period_date(local_date(events.occurred_at, app_zone(events.app_id)), period)
        end as period_at,
        events.app_id,
        subject_key(arguments.subject_kind, events.endpoint_id, events.user_id) as subject_id,
        events.metrics[arguments.metric_name] as metric_value
    from core.events as events
    inner join arguments
        on events.event_type = arguments.wanted.event_type
        and event_matches(events.event_type, events.attributes, events.metrics, arguments.wanted)
    -- Nothing after the last period counts, and nothing before the bands of the first.
    where epoch_ms(events.occurred_at) < epoch_ms(arguments.last_at + arguments.period_length) + 86400000
        and epoch_ms(events.occurred_at) >= epoch_ms(arguments.first_at - 8 * arguments.season_length) - 86400000
        and (app is null or events.app_id = app)
),

-- Subjects are of their app, so numbers of apps add up.
app_numbers as materialized (
    select
        app_id,
        by_value,
        period_at,
        case any_value(arguments.measure_kind)
            when 'events' then count(*)
            when 'subjects' then count(distinct subject_id)
            else coalesce(sum(metric_value), 0)
        end::double as number,
        count(metric_value) > 0 as has_metric
    from matches
    cross join arguments
    group by app_id, by_value, period_at
),

numbers as (
    select by_value, period_at, sum(number) as number, bool_or(has_metric) as has_metric
    from app_numbers
    group by by_value, period_at
),

-- Since when there are events of the apps that have any here: without one before the bands, since the first that was read.
-- An app that ended before says nothing about what is ordinary: else weeks before another one began were weeks of zeros.
beginnings as materialized (
    select
        case
            when exists (
                from core.events as events
                inner join arguments
                    on events.event_type = arguments.wanted.event_type
                    and event_matches(events.event_type, events.attributes, events.metrics, arguments.wanted)
                where epoch_ms(events.occurred_at) < epoch_ms(arguments.first_at - 8 * arguments.season_length) - 86400000
                    and events.app_id in (select app_id from app_numbers)
            ) then timestamp '-infinity'
            else (select min(period_at) from numbers)
        end as first_period_at
),

-- What the arguments name and none of the events has: misspelt, or just not there yet.
names as (
    select unnest(names_asked('event', event)) as name
    where not exists (from numbers)
    union all
    select {
        'argument': 'by',
        'given': "by"::varchar,
        'kind': 'attribute',
        'name': "by"::varchar,
        'event_types': [wanted.event_type],
        'others': breakdown_columns()
    }
    from arguments
    where not list_contains(breakdown_columns(), "by") and not exists (from numbers where by_value is not null)
    union all
    select {
        'argument': 'measure',
        'given': measure::varchar,
        'kind': 'metric',
        'name': metric_name,
        'event_types': [wanted.event_type],
        'others': []::varchar[]
    }
    from arguments
    where measure_kind = 'sum' and not exists (from numbers where has_metric)
),

by_values as (
    select distinct by_value
    from numbers
    union all
    -- Where nothing is known there is a row of 0 for each period.
    select null where not exists (from numbers)
),

-- The periods that are asked for, and as many before them as bands need.
spans as materialized (
    select
        period_at,
        -- Between the two ends of an hour that clocks leave out there is no time; of one that comes twice, an hour before its last beginning it is the same.
        period_kind <> 'hour'
        or epoch_ms((period_at + interval 1 hour) at time zone zone) > epoch_ms(period_at at time zone zone) as is_there,
        period_kind <> 'hour' or (
            epoch_ms((period_at + interval 1 hour) at time zone zone) - epoch_ms(period_at at time zone zone) = 3600000
            and (period_at at time zone zone - interval 1 hour) at time zone zone <> period_at
        ) as is_whole
    from (
        select unnest(generate_series(first_at - 8 * season_length, last_at, period_length)) as period_at, period_kind, zone
        from arguments
    )
),

-- Each with its number.
series as (
    select by_values.by_value, spans.period_at, spans.is_whole, coalesce(numbers.number, 0) as number
    from by_values
    cross join spans
    left join numbers on numbers.by_value is not distinct from by_values.by_value and numbers.period_at = spans.period_at
    -- An hour that no clock shows.
    where spans.is_there or numbers.number is not null
),

bands as (
    select
        asked.by_value,
        asked.period_at,
        median(earlier.number) as middle,
        1.4826 * mad(earlier.number) as scatter
    from series as asked
    cross join arguments
    inner join range(1, 9) as weeks(weeks_back) on true
    inner join series as earlier
        on earlier.by_value is not distinct from asked.by_value and earlier.period_at = asked.period_at - weeks.weeks_back * arguments.season_length
    -- Before the first event of all, and while a period runs, a number says nothing about what is ordinary.
    where asked.period_at >= arguments.first_at
        -- Two hours in one, or half an hour, compare with none.
        and earlier.is_whole
        and earlier.period_at >= (select first_period_at from beginnings)
        and earlier.period_at + arguments.period_length <= arguments.local_now
    group by asked.by_value, asked.period_at
    -- With fewer there is no saying.
    having count(*) >= 4
)

select
    series.by_value,
    series.period_at,
    series.number as value,
    bands.middle as expected,
    bands.middle - bands.half_width as expected_low,
    bands.middle + bands.half_width as expected_high,
    coalesce(
        series.is_whole
        and series.period_at + arguments.period_length <= arguments.local_now
        and abs(series.number - bands.middle) > bands.half_width,
        false
    ) as is_anomaly,
    series.period_at + arguments.period_length > arguments.local_now as is_running
from series
cross join arguments
left join (
    select
        bands.*,
        3 * greatest(
            bands.scatter, case arguments.measure_kind when 'sum' then abs(bands.middle) / 20 else sqrt(greatest(bands.middle, 1)) end
        ) as half_width
    from bands
    cross join arguments
) as bands on bands.by_value is not distinct from series.by_value and bands.period_at = series.period_at
-- The periods before those that are asked for made the bands. A wrong argument is an error also when no event asks for it.
where series.period_at >= arguments.first_at
    and arguments.period_kind is not null
    and arguments.subject_kind is not null
    and (select is_known from check_names((select list(name) from names), app))
order by series.by_value, series.period_at
