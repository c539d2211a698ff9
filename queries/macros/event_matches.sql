-- A value: whether an event is one of a step's, BOOLEAN, never null.
-- event_type, attributes, metrics: of the event. step: as the macros step and parse_step make it.
-- An attribute or metric that the event lacks meets no condition, != included.
create macro event_matches(event_type, attributes, metrics, step) as
    case
        when event_type is distinct from step.event_type then false
        else
            len(list_filter(
                map_entries(step.attributes),
                lambda allowed: not coalesce(list_contains(allowed.value, attributes[allowed.key]), false)
            )) = 0
            and len(list_filter(
                step.metrics,
                lambda metric: not coalesce(
                    case metric."is"
                        when '=' then metrics[metric.name] = metric.value
                        when '!=' then metrics[metric.name] <> metric.value
                        when '<' then metrics[metric.name] < metric.value
                        when '<=' then metrics[metric.name] <= metric.value
                        when '>' then metrics[metric.name] > metric.value
                        when '>=' then metrics[metric.name] >= metric.value
                    end,
                    false
                )
            )) = 0
    end
