-- A value: the day that was given, DATE.
-- given: DATE, or text that is one. name: of the argument, for the error.
-- Raises an error for null and for what is no day.
create macro check_date(given, name) as
    coalesce(
        try_cast(given as date),
        error(format('{} is {}; expected a day, for example ''2026-11-01''.', name, coalesce('''' || given::varchar || '''', 'null')))::date
    )
