-- One row per app_id and subject that bought: how recently, how often, for how much, each scored from 1 to 5 against the others of its app.
-- from_date, to_date: DATE or TEXT, days of the app's zone; purchases on these days count, recency is that on to_date.
-- app: TEXT, null for all. subject: 'endpoint' or 'user'. currency: TEXT, purchases in this currency only; null for all.
-- endpoint_id or user_id: the subject; the other is null. recency_days: from the last purchase's day to to_date. frequency: purchases. monetary: their revenue, in currency when they have one in common.
-- A score is a quintile: 5 for the fifth that is best (bought last, most often, for most), 1 for the worst. Equal values have equal scores, the
-- lowest of their places: of n subjects one that k are worse than has 1 + floor(5 k / n). rfm is the three digits, '555' the best.
-- Errors: a day that is none, from_date after to_date, a subject that is not named here.
create macro rfm(from_date, to_date, app := null, subject := 'endpoint', currency := null) as table
with
arguments as materialized (
    select
        check_range(from_date, to_date) is not null
        and check_choice(subject, 'subject', ['endpoint', 'user']) is not null as is_checked
),

buyers as (
    select
        found.app_id,
        found.subject_id,
        max(found.purchase_date) as last_purchase_date,
        count(*) as frequency,
        -- To a millionth, so that sums of the same prices in another order are equal.
        round(sum(found.revenue), 6) as monetary,
        common_currency(found.currency, found.revenue) as paid_in
    from subject_purchases(app, subject, currency) as found
    cross join arguments
    -- The first is false never: an argument that is wrong has raised its error, also when there is no purchase.
    where arguments.is_checked
      and found.purchase_date between check_date(from_date, 'from_date') and check_date(to_date, 'to_date')
    group by found.app_id, found.subject_id
),

scores as (
    select
        *,
        1 + 5 * (rank() over (partition by app_id order by last_purchase_date) - 1) // count(*) over (partition by app_id) as recency_score,
        1 + 5 * (rank() over (partition by app_id order by frequency) - 1) // count(*) over (partition by app_id) as frequency_score,
        1 + 5 * (rank() over (partition by app_id order by monetary) - 1) // count(*) over (partition by app_id) as monetary_score
    from buyers
)

select
    app_id,
    -- As subject_key made them: one of the two.
    case when starts_with(subject_id, 'endpoint:') then substr(subject_id, length('endpoint:') + 1) end as endpoint_id,
    case when starts_with(subject_id, 'user:') then substr(subject_id, length('user:') + 1) end as user_id,
    last_purchase_date,
    check_date(to_date, 'to_date') - last_purchase_date as recency_days,
    frequency,
    monetary,
    scores.paid_in as currency,
    recency_score,
    frequency_score,
    monetary_score,
    recency_score || '' || frequency_score || monetary_score as rfm
from scores
order by scores.recency_score + scores.frequency_score + scores.monetary_score desc, monetary desc, app_id, subject_id
