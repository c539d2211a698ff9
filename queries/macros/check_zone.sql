-- A value: the zone that was given, VARCHAR.
-- given: IANA name, as pg_timezone_names() lists them. name: of the argument, for the error.
-- Raises an error for null and for a zone that does not exist; it names the nearest.
create macro check_zone(given, name) as
    case
        when given in (select zones.name from pg_timezone_names() as zones) then given
        else error(format(
            '{} is {}; expected a time zone that exists, for example ''{}''.',
            name,
            coalesce('''' || given || '''', 'null'),
            coalesce((select arg_max(zones.name, jaro_winkler_similarity(zones.name, given)) from pg_timezone_names() as zones), 'Europe/Berlin')
        ))
    end
