-- One row per purchase whose price, quantity or revenue is no finite number: a sum over it is none either.
-- Severity: fail
select app_id, endpoint_id, event_id, purchased_at, item_price, quantity, revenue, _topic_id, _partition, _offset
from core.purchases
-- A missing price is null, and adds nothing.
where not (coalesce(isfinite(item_price), true) and isfinite(quantity) and coalesce(isfinite(revenue), true))
