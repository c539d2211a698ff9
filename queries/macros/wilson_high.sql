-- A value: the upper end of the 95 % interval of a share, Wilson's without correction for continuity, DOUBLE; null for a share of nobody.
-- hits, total: counts. The lower end is wilson_low, where the source stands.
create macro wilson_high(hits, total) as
    case when total > 0 then
        least(
            1,
            (hits + 1.9207294 + 1.959964 * sqrt(hits::double * (total - hits) / total + 0.9603647)) / (total + 3.8414589)
        )
    end
