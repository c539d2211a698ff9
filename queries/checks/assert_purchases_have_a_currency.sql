-- One row per app_id and day with purchases that have a price and no currency.
-- Severity: warn
select app_id, purchase_date, count(*) as purchase_count, sum(revenue) as revenue
from core.purchases
-- Without a price, or for nothing, the currency does not matter.
where coalesce(currency, '') = '' and item_price <> 0
group by app_id, purchase_date
