-- A value: the hour, 0 to 23, that a clock of the zone shows at a moment, BIGINT; null when one of them is null.
-- moment: TIMESTAMPTZ. zone: IANA name, one that is known: DuckDB refuses another.
create macro local_hour(moment, zone) as
    case when zone = 'UTC' then hour(moment at time zone 'UTC') else hour(moment at time zone zone) end
