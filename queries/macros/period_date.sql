-- A value: the first day of the period that a day lies in; weeks begin on Monday.
-- day: DATE. period: 'day', 'week' or 'month'; null for any other.
create macro period_date(day, period) as
    case period
        when 'day' then day
        when 'week' then date_trunc('week', day)::date
        when 'month' then date_trunc('month', day)::date
    end
