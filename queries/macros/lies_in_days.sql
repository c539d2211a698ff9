-- A value: whether a moment lies on one of the days from_date to to_date, both included, of a zone, BOOLEAN.
-- moment TIMESTAMPTZ; zone: IANA name; from_date, to_date DATE. The zone is asked near the borders alone: asking it costs as much as all the rest.
create macro lies_in_days(moment, zone, from_date, to_date) as
    case
        when epoch_ms(moment) >= epoch_ms(from_date::timestamp) + 86400000 and epoch_ms(moment) < epoch_ms(to_date::timestamp) then true
        when epoch_ms(moment) < epoch_ms(from_date::timestamp) - 86400000 or epoch_ms(moment) >= epoch_ms(to_date::timestamp) + 172800000 then false
        else local_date(moment, zone) between from_date and to_date
    end
