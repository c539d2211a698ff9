-- A value: the lower end of the 95 % interval of a share, Wilson's without correction for continuity, DOUBLE; null for a share of nobody.
-- hits, total: counts. Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927. z is 1.959964.
create macro wilson_low(hits, total) as
    case when total > 0 then
        greatest(
            0,
            (hits + 1.9207294 - 1.959964 * sqrt(hits::double * (total - hits) / total + 0.9603647)) / (total + 3.8414589)
        )
    end
