-- A value: the currency of a group of purchases when they have one in common, VARCHAR; else null, and a sum of their revenue means nothing. An aggregate.
-- currency: VARCHAR, null or '' where the purchase names none. revenue: DOUBLE.
-- A purchase that names no currency is of none in common when it brought or took money; without a price it takes nothing away.
create macro common_currency(currency, revenue) as
    case
        when count(distinct case when coalesce(currency, '') <> '' or revenue <> 0 then coalesce(currency, '') end) = 1
        then nullif(min(case when coalesce(currency, '') <> '' or revenue <> 0 then coalesce(currency, '') end), '')
    end
