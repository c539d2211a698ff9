-- A value: the conditions of a step's text in their order, list of what step_condition gives.
-- given: a step's text that can be read.
create macro step_conditions(given) as
    list_transform(
        regexp_extract_all(
            -- Without the type of event, in which a bracket may stand behind \.
            substr(given, 1 + length(regexp_extract(given, '(?s)^((?:[^\\\[\]]|\\.)+)', 1))), '(?s)\[((?:[^\\\[\]]|\\.)+)\]', 1
        ),
        lambda condition: step_condition(condition, given)
    )
