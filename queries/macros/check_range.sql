-- A value: the days that were given, STRUCT(from_date DATE, to_date DATE), both included.
-- from_date, to_date: DATE, or text that is one.
-- Raises an error for null, for what is no day, and when the first is after the last.
create macro check_range(from_date, to_date) as
    case
        when check_date(from_date, 'from_date') > check_date(to_date, 'to_date') then error(format(
            'from_date is ''{}'' and to_date is ''{}''; expected the first day and the last, one day twice for itself.', from_date, to_date
        ))
        else {'from_date': check_date(from_date, 'from_date'), 'to_date': check_date(to_date, 'to_date')}
    end
