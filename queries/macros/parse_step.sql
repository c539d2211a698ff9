-- A value: a step that was given as text, as the macro step makes it.
-- given: a type of event, then conditions in brackets, all of which must hold:
--   _session.start
--   purchase[category=shoes|boots]       an attribute is one of these values
--   purchase[_item_price>=10][store=x]   a metric compares with a number: == != < <= > >=
-- \ before a letter keeps it from ending or parting something: \[ \] \| \= \< \> \! \\.
-- Raises an error for null, for what is no step and for an attribute that is named twice; it says what was expected.
create macro parse_step(given) as
    case
        when not coalesce(regexp_full_match(given, '(?s)\s*(?:[^\\\[\]\s]|\\.)(?:[^\\\[\]]|\\.)*(?:\[(?:[^\\\[\]]|\\.)+\]\s*)*'), false)
            then error(format(
                'Step {} cannot be read; expected a type of event and conditions, for example ''purchase[category=shoes|boots][_item_price>=10]''.',
                coalesce('''' || given || '''', 'null')
            ))
        when len(list_distinct(step_conditions(given).list_filter(lambda condition: condition."is" = 'in').list_transform(lambda condition: condition.name)))
            < len(step_conditions(given).list_filter(lambda condition: condition."is" = 'in'))
            then error(format('Step ''{}'' names an attribute twice; expected all its values in one condition, [attribute=value|other].', given))
        else step(
            step_part(regexp_extract(given, '(?s)^((?:[^\\\[\]]|\\.)+)', 1)),
            attributes := map_from_entries(list_transform(
                list_filter(step_conditions(given), lambda condition: condition."is" = 'in'),
                lambda condition: {'key': condition.name, 'value': condition."values"}
            )),
            metrics := list_transform(
                list_filter(step_conditions(given), lambda condition: condition."is" <> 'in'),
                lambda condition: {'name': condition.name, 'is': condition."is", 'value': condition."values"[1]::double}
            )
        )
    end
