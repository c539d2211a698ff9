-- A value: what check_names is asked of a step, list of STRUCT(argument, given, kind, name VARCHAR, event_types, others VARCHAR[]): each attribute and metric that it names.
-- argument: what the step was given as, for the error. given: the step's text; null asks nothing.
create macro names_asked(argument, given) as
    case when given is not null then list_transform(
        map_keys(parse_step(given).attributes), lambda name: {
            'argument': argument,
            'given': given::varchar,
            'kind': 'attribute',
            'name': name,
            'event_types': [parse_step(given).event_type],
            'others': []::varchar[]
        }
    ) || list_transform(
        parse_step(given).metrics, lambda metric: {
            'argument': argument,
            'given': given::varchar,
            'kind': 'metric',
            'name': metric.name,
            'event_types': [parse_step(given).event_type],
            'others': []::varchar[]
        }
    ) else [] end
