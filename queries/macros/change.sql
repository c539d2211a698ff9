-- A value: by which part of the value before a value grew, DOUBLE: 0.5 is half as much again; null when one of them is null or the one before is 0.
-- value, value_before: numbers.
create macro change(value, value_before) as
    ((value)::double - (value_before)::double) / nullif(abs((value_before)::double), 0)
