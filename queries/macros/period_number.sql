-- A value: how many periods one period is after another, both given by their first days; 0 for the same.
-- first_date, later_date: DATE. period: 'day', 'week' or 'month'; null for any other.
create macro period_number(first_date, later_date, period) as
    case period
        when 'day' then later_date - first_date
        when 'week' then (later_date - first_date) // 7
        when 'month' then 12 * (year(later_date) - year(first_date)) + month(later_date) - month(first_date)
    end
