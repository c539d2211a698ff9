-- A value: the choice that was given, VARCHAR.
-- given: VARCHAR. name: of the argument, for the error. choices: VARCHAR[], all that there are.
-- Raises an error for null and for what is none of them.
create macro check_choice(given, name, choices) as
    case
        when list_contains(choices, given::varchar) then given::varchar
        else error(format(
            '{} is {}; expected one of {}.', name, coalesce('''' || given::varchar || '''', 'null'), array_to_string(choices, ', ')
        ))
    end
