-- A value: a step of a funnel or path, STRUCT(event_type VARCHAR, attributes MAP(VARCHAR, VARCHAR[]), metrics STRUCT(name VARCHAR, "is" VARCHAR, value DOUBLE)[]).
-- event_type: VARCHAR. attributes: MAP(VARCHAR, VARCHAR[]), name -> values that are allowed.
-- metrics: list of {'name': ..., 'is': one of = != < <= > >=, 'value': number}.
-- Raises an error for an event type that is null or empty and for another comparison.
create macro step(event_type, attributes := map {}, metrics := []) as
    {
        'event_type': coalesce(
            nullif(event_type, ''),
            error('event_type of a step is empty; expected a type of event, for example ''_session.start''.')::varchar
        ),
        'attributes': attributes::map(varchar, varchar[]),
        'metrics': list_transform(
            metrics::struct(name varchar, "is" varchar, value double)[],
            lambda metric: case
                when metric."is" in ('=', '!=', '<', '<=', '>', '>=') then metric
                else error(format(
                    'metric {} of a step is compared by ''{}''; expected one of = != < <= > >=.', metric.name, coalesce(metric."is", 'null')
                ))
            end
        )
    }
