-- A value: the first day of the period after the one that a day lies in.
-- day: DATE. period: 'day', 'week' or 'month'; null for any other.
create macro next_period_date(day, period) as
    case period
        when 'day' then day + 1
        when 'week' then date_trunc('week', day)::date + 7
        when 'month' then (date_trunc('month', day) + interval 1 month)::date
    end
