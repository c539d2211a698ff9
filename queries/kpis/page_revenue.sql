-- One row per chart of the page Revenue, app_id, period, period_date and part, the currency; periods in which nobody came and nothing was bought are left out.
-- Numerator, denominator: as the chart's own view says. Clock: event_timestamp. Zone: the app's.
with
bought as (
    select
        purchases.app_id,
        periods.period,
        periods.period_date,
        coalesce(purchases.currency, 'unknown') as currency,
        coalesce(sum(revenue), 0)::double as revenue,
        count(distinct coalesce(user_id, 'endpoint:' || endpoint_id)) as buyers,
        count(distinct endpoint_id) as buying_endpoints,
        sum(quantity) as units,
        count(*) as purchases
    from core.purchases as purchases
    inner join kpis.periods as periods on purchases.app_id = periods.app_id and purchases.purchase_date between periods.period_date and periods.last_date
    group by all
),

active as (
    select app_id, period, period_date, numerator as endpoints
    from kpis.page_usage
    -- All endpoints, whether they buy or not.
    where chart = 'usage_daily_active_endpoints'
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
        {'chart': 'revenue_per_endpoint', 'numerator': coalesce(revenue, 0), 'denominator': coalesce(endpoints, 0)},
        {'chart': 'revenue_paying_users', 'numerator': coalesce(buyers, 0), 'denominator': null},
        {'chart': 'revenue_per_paying_user', 'numerator': coalesce(revenue, 0), 'denominator': coalesce(buyers, 0)},
        {'chart': 'revenue_units_sold', 'numerator': coalesce(units, 0), 'denominator': null},
        {'chart': 'revenue_units_per_endpoint', 'numerator': coalesce(units, 0), 'denominator': coalesce(endpoints, 0)},
        {'chart': 'revenue_purchases', 'numerator': coalesce(purchases, 0), 'denominator': null},
        {'chart': 'revenue_purchases_per_endpoint', 'numerator': coalesce(purchases, 0), 'denominator': coalesce(buying_endpoints, 0)}
    ]) as said
    from sold
)
