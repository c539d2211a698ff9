-- A value: numerator / denominator, DOUBLE; null when one of them is null or the denominator is 0.
-- numerator, denominator: numbers.
create macro rate(numerator, denominator) as
    (numerator)::double / nullif((denominator)::double, 0)
