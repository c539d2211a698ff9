-- One row per purchase of a subject, as cohorts and rfm count them.
-- app: TEXT, null for all. subject: 'endpoint', or 'user': whose user_id the purchase names, and without one the endpoint itself.
-- currency: TEXT, purchases in this currency only; null for all.
create macro subject_purchases(app := null, subject := 'endpoint', currency := null) as table
select
    purchases.app_id,
    subject_key(subject, purchases.endpoint_id, purchases.user_id) as subject_id,
    purchases.purchase_date,
    coalesce(purchases.revenue, 0) as revenue,
    purchases.currency
from core.purchases as purchases
-- A purchase without an endpoint is nobody's.
where purchases.is_activity
  and (app is null or purchases.app_id = app)
  and (currency is null or purchases.currency = currency)
