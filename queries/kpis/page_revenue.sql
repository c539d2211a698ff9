-- One row per chart of the page Revenue, app_id, period, period_date and part, the currency; periods in which nobody came and nothing was bought are left out.
-- Numerator, denominator: as the chart's own view says. Clock: event_timestamp. Zone: the app's.
-- What is bought without an endpoint is nobody's: it is in the sums and on neither side of what an endpoint or a user is said to have brought.
with
kinds as (
    select unnest(['day', 'week', 'month']) as period
),

-- A day that no chart shows is in no week and no month either.
known_days as materialized (
    select * from kpis.known_days
),

bought as (
    select
        purchases.app_id,
        kinds.period,
        period_date(purchases.purchase_date, kinds.period) as period_date,
        coalesce(nullif(purchases.currency, ''), 'unknown') as currency,
        coalesce(sum(purchases.revenue), 0)::double as revenue,
        sum(purchases.quantity) as units,
        count(*) as purchases,
        count(distinct subject_key('user', purchases.endpoint_id, purchases.user_id)) as buyers,
        count(distinct purchases.endpoint_id) filter (purchases.is_activity) as buying_endpoints,
        sum(purchases.revenue) filter (purchases.is_activity) as buyers_revenue,
        sum(purchases.quantity) filter (purchases.is_activity) as buyers_units,
        count(*) filter (purchases.is_activity) as buyers_purchases
    from core.purchases as purchases
    inner join known_days on purchases.app_id = known_days.app_id and purchases.purchase_date between known_days.first_date and known_days.last_date
    cross join kinds
    group by all
),

active as (
    -- All endpoints, whether they buy or not.
    select days.app_id, kinds.period, period_date(days.activity_date, kinds.period) as period_date, count(distinct days.subject_id)::double as endpoints
    from active_days() as days
    inner join known_days on days.app_id = known_days.app_id and days.activity_date between known_days.first_date and known_days.last_date
    cross join kinds
    group by all
),

sold as (
    -- When nobody bought, those who came are still what revenue is divided by.
    select app_id, period, period_date, currency, bought.* exclude (app_id, period, period_date, currency), endpoints
    from active
    inner join (select distinct app_id, currency from bought) as currencies using (app_id)
    full join bought using (app_id, period, period_date, currency)
)

select said.chart, app_id, period, period_date, currency as part, said.numerator, said.denominator
from (
    select *, unnest([
        {'chart': 'revenue_total', 'numerator': coalesce(revenue, 0), 'denominator': null::double},
        {'chart': 'revenue_per_endpoint', 'numerator': coalesce(buyers_revenue, 0), 'denominator': coalesce(endpoints, 0)},
        {'chart': 'revenue_paying_users', 'numerator': coalesce(buyers, 0), 'denominator': null},
        {'chart': 'revenue_per_paying_user', 'numerator': coalesce(buyers_revenue, 0), 'denominator': coalesce(buyers, 0)},
        {'chart': 'revenue_units_sold', 'numerator': coalesce(units, 0), 'denominator': null},
        {'chart': 'revenue_units_per_endpoint', 'numerator': coalesce(buyers_units, 0), 'denominator': coalesce(endpoints, 0)},
        {'chart': 'revenue_purchases', 'numerator': coalesce(purchases, 0), 'denominator': null},
        {'chart': 'revenue_purchases_per_endpoint', 'numerator': coalesce(buyers_purchases, 0), 'denominator': coalesce(buying_endpoints, 0)}
    ]) as said
    from sold
)
