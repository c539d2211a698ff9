-- A value: the day that a clock of the zone shows at a moment, DATE; null when one of them is null.
-- moment: TIMESTAMPTZ. zone: IANA name, one that is known: DuckDB refuses another.
create macro local_date(moment, zone) as
    -- Of UTC apart: a zone that differs from row to row costs five times as much.
    case when zone = 'UTC' then (moment at time zone 'UTC')::date else (moment at time zone zone)::date end
