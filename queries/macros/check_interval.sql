-- A value: the length of time that was given, INTERVAL.
-- given: INTERVAL, or text that is one with its unit. name: of the argument, for the error.
-- Raises an error for null, for what is no length of time, for a number without a unit, and for less than a millisecond, in which moments are counted.
create macro check_interval(given, name) as
    case
        when epoch_ms(try_cast(given::varchar as interval)) > 0 and not regexp_full_match(given::varchar, '[0-9.\s]*')
            then given::varchar::interval
        else error(format(
            '{} is {}; expected a length of time of at least a millisecond, for example interval ''1 day''.',
            name, coalesce('''' || given::varchar || '''', 'null')
        ))::interval
    end
