-- One row per cohort of first purchases and period from the cohort's own on: who bought, how often, for how much.
-- from_date, to_date: DATE or TEXT, days of the app's zone. The first cohort is that of the whole period in which from_date lies; nothing after to_date counts.
-- app: TEXT, null for all. period: 'day', 'week' (from Monday) or 'month', of the calendar. subject: 'endpoint' or 'user'.
-- currency: TEXT, purchases in this currency only; null for all. today: DATE or TEXT, the day on which is asked; null for the present one.
-- A subject is in the cohort of its first purchase ever (in the currency, when one is named), whatever it did before.
-- cumulative_revenue: of the cohort so far. revenue_per_subject: the same over cohort_size, those who bought only once included.
-- currency: that of all purchases when they have one in common (common_currency); else null, and sums of revenue mean nothing.
-- is_complete: the period is not cut by to_date and is over. A period that has not begun has no row, nor has a cohort of nobody.
-- Errors: a day that is none, from_date after to_date, a period or subject that is not named here.
create macro cohorts(
    from_date,
    to_date,
    app := null,
    period := 'month',
    subject := 'endpoint',
    currency := null,
    today := null
) as table
with
periods as (
    select *
    from report_periods(from_date, to_date, period, app, today, subject)
),

purchases as (
    select
        found.app_id,
        found.subject_id,
        period_date(found.purchase_date, period) as period_date,
        found.revenue,
        found.currency as paid_in
    from subject_purchases(app, subject, currency) as found
    -- The first purchase is the first one ever; what comes after the last day is not known yet.
    where found.purchase_date <= check_date(to_date, 'to_date')
),

members as (
    select app_id, subject_id, min(period_date) as cohort_date
    from purchases
    group by all
),

cohort_sizes as (
    select cohort_date, count(*) as cohort_size
    from members
    semi join periods on members.cohort_date = periods.period_date
    group by cohort_date
),

counts as (
    select
        members.cohort_date,
        purchases.period_date,
        count(distinct (app_id, subject_id)) as buyer_count,
        count(*) as purchase_count,
        sum(purchases.revenue) as revenue
    from purchases
    inner join members using (app_id, subject_id)
    group by all
),

currencies as (
    select common_currency(purchases.paid_in, purchases.revenue) as common_currency
    from purchases
    inner join members using (app_id, subject_id)
    semi join cohort_sizes on members.cohort_date = cohort_sizes.cohort_date
),

cells as (
    select
        cohort_sizes.cohort_date,
        periods.period_date,
        cohort_sizes.cohort_size,
        coalesce(counts.buyer_count, 0) as buyer_count,
        coalesce(counts.purchase_count, 0) as purchase_count,
        coalesce(counts.revenue, 0) as revenue,
        sum(coalesce(counts.revenue, 0)) over (partition by cohort_sizes.cohort_date order by periods.period_date) as cumulative_revenue,
        periods.is_complete
    from cohort_sizes
    inner join periods on cohort_sizes.cohort_date <= periods.period_date
    left join counts on cohort_sizes.cohort_date = counts.cohort_date and periods.period_date = counts.period_date
)

select
    cells.cohort_date,
    period_number(cells.cohort_date, cells.period_date, period) as period_no,
    cells.period_date,
    cells.cohort_size,
    cells.buyer_count,
    cells.buyer_count / cells.cohort_size as rate,
    cells.purchase_count,
    cells.revenue,
    cells.cumulative_revenue,
    cells.cumulative_revenue / cells.cohort_size as revenue_per_subject,
    currencies.common_currency as currency,
    cells.is_complete
from cells
cross join currencies
order by cells.cohort_date, cells.period_date
