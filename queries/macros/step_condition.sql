-- A value: one condition of a step's text, STRUCT(name VARCHAR, "is" VARCHAR, "values" VARCHAR[]); values holds one text for a metric.
-- condition: what stands between [ and ] in a step's text. step: the whole text, for the error.
-- Raises an error for what is no condition.
create macro step_condition(condition, step) as
    case
        when not regexp_full_match(condition, '(?s)(?:[^\\=<>!]|\\.)+(?:[=!<>]=|[=<>]).*')
            then error(format(
                'Step ''{}'' has the condition [{}]; expected [attribute=value|other] or [metric>=10] (== != < <= > >=).', step, condition
            ))
        when regexp_full_match(condition, '(?s)(?:[^\\=<>!]|\\.)+=(?:[^=].*)?') then {
            'name': step_part(regexp_extract(condition, '(?s)^((?:[^\\=<>!]|\\.)+)=(.*)$', 1)),
            'is': 'in',
            'values': list_transform(
                regexp_extract_all('|' || regexp_extract(condition, '(?s)^((?:[^\\=<>!]|\\.)+)=(.*)$', 2), '(?s)\|((?:[^\\|]|\\.)*)', 1),
                lambda part: step_part(part)
            )
        }
        when try_cast(trim(regexp_extract(condition, '(?s)^((?:[^\\=<>!]|\\.)+)([=!<>]=|[<>])(.*)$', 3)) as double) is null
            then error(format(
                'Step ''{}'' has the condition [{}]; expected a number after the comparison, or [attribute=value|other].', step, condition
            ))
        else {
            'name': step_part(regexp_extract(condition, '(?s)^((?:[^\\=<>!]|\\.)+)([=!<>]=|[<>])(.*)$', 1)),
            'is': replace(regexp_extract(condition, '(?s)^((?:[^\\=<>!]|\\.)+)([=!<>]=|[<>])(.*)$', 2), '==', '='),
            'values': [trim(regexp_extract(condition, '(?s)^((?:[^\\=<>!]|\\.)+)([=!<>]=|[<>])(.*)$', 3))]
        }
    end
