-- A value: a part of a step's text as it is meant, VARCHAR: without spaces around it, and \ taken from before the letter that it keeps.
-- part: VARCHAR.
create macro step_part(part) as
    regexp_replace(trim(part), '(?s)\\(.)', '\1', 'g')
