-- One row per KPI name.
-- Pinpoint's names, spelt as it spelt them, and Headwater's own where one word of Pinpoint's meant several things. Rows are as fine as the family,
-- `grouping` says what a name asks for: add numerators and denominators up over the rest, and divide then. Where `is_additive` is false a row is a day of what
-- the name groups by and adds up to nothing: of more days, or other groups, count endpoints of kpis.unique_endpoints.
-- `delivered_as` says which deliveries: `unless_hardbounced`, `unless_bounced` or `reported`; `read_by` whose opens and clicks: `everybody` or `people`.
with
measures as (
    select *
    from (
        values
            ('campaign_kpis', 'successful-delivery-rate', 'messages that were delivered', 'delivered', 'sent', 'rate', 'unless_hardbounced', null, true),
            ('campaign_kpis', 'email-open-rate', 'e-mails that were opened', 'e-mails opened', 'e-mails delivered', 'rate', 'unless_hardbounced', 'everybody', true),
            ('campaign_kpis', 'push-open-rate', 'pushes that were opened', 'pushes opened', 'pushes delivered', 'rate', 'unless_hardbounced', 'everybody', true),
            ('campaign_kpis', 'unique-deliveries', 'endpoints that something was delivered to', 'distinct endpoints', null, 'endpoints', 'unless_hardbounced', null, false),
            ('campaign_kpis', 'successful-deliveries', 'messages that were delivered', 'sent less hard bounces, and of texts failures', null, 'messages', 'unless_hardbounced', null, true),
            ('campaign_kpis', 'hard-bounce-rate', 'e-mails that bounced hard', 'hard bounces', 'e-mails sent', 'rate', null, null, true),
            ('campaign_kpis', 'attempted-deliveries', 'messages that were sent', 'sent', null, 'messages', null, null, true),
            ('campaign_kpis', 'clicks', 'clicks in e-mails', 'clicks, each one', null, 'clicks', null, 'everybody', true),
            ('campaign_kpis', 'direct-email-opens', 'e-mails that were opened', 'e-mails opened', null, 'messages', null, 'everybody', true),
            ('campaign_kpis', 'direct-push-opens', 'pushes that were opened', 'pushes opened', null, 'messages', null, 'everybody', true),
            ('campaign_kpis', 'sms-spend', 'what the texts cost', 'price of texts sent', null, 'millicents', null, null, true),
            ('campaign_kpis', 'email-open-rate-by-people', 'e-mails that people opened', 'e-mails opened', 'e-mails delivered', 'rate', 'unless_hardbounced', 'people', true),
            ('campaign_kpis', 'email-open-rate-of-sent', 'e-mails that were opened, of those sent', 'e-mails opened', 'e-mails sent', 'rate', null, 'everybody', true),
            ('campaign_kpis', 'email-open-rate-of-reported', 'e-mails that were opened, of those reported delivered', 'e-mails opened', 'e-mails delivered', 'rate', 'reported', 'everybody', true),
            ('campaign_kpis', 'clicks-by-people', 'clicks of people in e-mails', 'clicks, each one', null, 'clicks', null, 'people', true),
            ('campaign_kpis', 'hard-bounce-rate-of-delivered', 'hard bounces to e-mails delivered', 'hard bounces', 'e-mails delivered', 'rate', 'unless_hardbounced', null, true),
            ('campaign_kpis', 'delivery-rate-reported', 'messages that were reported delivered', 'delivered', 'sent', 'rate', 'reported', null, true),
            ('txn_email_kpis', 'txn-emails-sent', 'e-mails that were sent', 'sent', null, 'messages', null, null, true),
            ('txn_email_kpis', 'txn-emails-delivered', 'e-mails that were delivered', 'sent less soft and hard bounces and rejected', null, 'messages', 'unless_bounced', null, true),
            ('txn_email_kpis', 'txn-emails-opened', 'e-mails that were opened', 'opened', null, 'messages', null, 'everybody', true),
            ('txn_email_kpis', 'txn-emails-clicked', 'clicks in e-mails', 'clicks, each one', null, 'clicks', null, 'everybody', true),
            ('txn_email_kpis', 'txn-emails-hard-bounced', 'e-mails that bounced hard', 'hard bounces', null, 'messages', null, null, true),
            ('txn_email_kpis', 'txn-emails-soft-bounced', 'e-mails that bounced softly and not hard', 'soft bounces', null, 'messages', null, null, true),
            ('txn_email_kpis', 'txn-emails-with-complaints', 'e-mails that were complained of', 'complaints', null, 'messages', null, null, true),
            ('txn_email_kpis', 'txn-emails-unique-opens', 'endpoints that opened', 'distinct endpoints', null, 'endpoints', null, 'everybody', false),
            ('txn_email_kpis', 'txn-emails-unique-clicks', 'endpoints that clicked', 'distinct endpoints', null, 'endpoints', null, 'everybody', false),
            ('txn_email_kpis', 'txn-emails-delivery-rate', 'e-mails that were delivered', 'delivered', 'sent', 'rate', 'unless_bounced', null, true),
            ('txn_email_kpis', 'txn-emails-complaint-rate', 'e-mails that were complained of', 'complaints', 'sent', 'rate', null, null, true),
            ('txn_email_kpis', 'txn-emails-opened-by-people', 'e-mails that people opened', 'opened', null, 'messages', null, 'people', true),
            ('txn_email_kpis', 'txn-emails-clicked-by-people', 'clicks of people in e-mails', 'clicks, each one', null, 'clicks', null, 'people', true),
            ('txn_email_kpis', 'txn-emails-delivered-reported', 'e-mails that were reported delivered', 'delivered', null, 'messages', 'reported', null, true),
            ('txn_sms_kpis', 'txn-sms-sent', 'texts that were sent', 'sent', null, 'messages', null, null, true),
            ('txn_sms_kpis', 'txn-sms-delivered', 'texts that were delivered', 'delivered', null, 'messages', 'reported', null, true),
            ('txn_sms_kpis', 'txn-sms-delivery-rate', 'texts that were delivered', 'delivered', 'sent', 'rate', 'reported', null, true),
            ('txn_sms_kpis', 'txn-sms-error-distribution', 'texts that failed, by what the carrier said', 'failed', null, 'messages', null, null, true),
            ('txn_sms_kpis', 'txn-sms-sent-by-parts', 'parts that were sent', 'parts of texts sent', null, 'parts', null, null, true),
            ('txn_sms_kpis', 'txn-sms-delivered-by-parts', 'parts that were delivered', 'parts of texts delivered', null, 'parts', 'reported', null, true),
            ('txn_sms_kpis', 'txn-sms-total-price', 'what the texts cost', 'price of texts sent', null, 'millicents', null, null, true),
            ('txn_sms_kpis', 'txn-sms-average-price', 'what a text cost', 'price of texts sent', 'sent', 'millicents', null, null, true),
            ('txn_sms_kpis', 'txn-sms-average-price-by-parts', 'what a part cost', 'price of texts sent', 'parts of texts sent', 'millicents', null, null, true),
            ('hourly_email_kpis', 'emails-opened-once-an-hour', 'opens of e-mails, one a recipient and clock hour', 'opens, one of each message in an hour', null, 'opens', null, 'everybody', true),
            ('hourly_email_kpis', 'emails-clicked-once-an-hour', 'clicks in e-mails, one a recipient and clock hour', 'clicks, one in each message in an hour', null, 'clicks', null, 'everybody', true),
            ('journey_kpis', 'emails-sent', 'e-mails that were sent', 'sent', null, 'messages', null, null, true),
            ('journey_kpis', 'emails-delivered', 'e-mails that were delivered', 'sent less soft and hard bounces and rejected', null, 'messages', 'unless_bounced', null, true),
            ('journey_kpis', 'emails-opened', 'e-mails that were opened', 'opened', null, 'messages', null, 'everybody', true),
            ('journey_kpis', 'emails-clicked', 'clicks in e-mails', 'clicks, each one', null, 'clicks', null, 'everybody', true),
            ('journey_kpis', 'emails-hardbounced', 'e-mails that bounced hard', 'hard bounces', null, 'messages', null, null, true),
            ('journey_kpis', 'emails-softbounced', 'e-mails that bounced softly and not hard', 'soft bounces', null, 'messages', null, null, true),
            ('journey_kpis', 'emails-complained', 'e-mails that were complained of', 'complaints', null, 'messages', null, null, true),
            ('journey_kpis', 'emails-rejected', 'e-mails that were rejected', 'rejected', null, 'messages', null, null, true),
            ('journey_kpis', 'emails-unsubscribed', 'unsubscribes, each one', 'unsubscribes', null, 'unsubscribes', null, null, true),
            ('journey_kpis', 'emails-opened-by-people', 'e-mails that people opened', 'opened', null, 'messages', null, 'people', true),
            ('journey_kpis', 'emails-clicked-by-people', 'clicks of people in e-mails', 'clicks, each one', null, 'clicks', null, 'people', true),
            ('journey_kpis', 'emails-delivered-reported', 'e-mails that were reported delivered', 'delivered', null, 'messages', 'reported', null, true)
    ) as said (family, measure, meaning, numerator, denominator, unit, delivered_as, read_by, is_additive)
),

names as (
    select unnest([
        'successful-delivery-rate', 'successful-delivery-rate-grouped-by-date', 'successful-delivery-rate-grouped-by-campaign-activity',
        'email-open-rate', 'email-open-rate-grouped-by-campaign', 'email-open-rate-grouped-by-campaign-activity',
        'push-open-rate', 'push-open-rate-grouped-by-campaign', 'push-open-rate-grouped-by-campaign-activity',
        'unique-deliveries', 'unique-deliveries-grouped-by-campaign', 'unique-deliveries-grouped-by-date', 'unique-deliveries-grouped-by-campaign-activity',
        'successful-deliveries-grouped-by-campaign', 'successful-deliveries-grouped-by-campaign-activity',
        'hard-bounce-rate', 'hard-bounce-rate-grouped-by-campaign-activity', 'attempted-deliveries-grouped-by-campaign-activity',
        'clicks-grouped-by-campaign-activity', 'direct-email-opens-grouped-by-campaign-activity', 'direct-push-opens-grouped-by-campaign-activity', 'sms-spend',
        'txn-emails-sent', 'txn-emails-sent-grouped-by-date', 'txn-emails-delivered', 'txn-emails-delivered-grouped-by-date',
        'txn-emails-opened', 'txn-emails-opened-grouped-by-date', 'txn-emails-clicked', 'txn-emails-clicked-grouped-by-date',
        'txn-emails-hard-bounced', 'txn-emails-hard-bounced-grouped-by-date', 'txn-emails-soft-bounced', 'txn-emails-soft-bounced-grouped-by-date',
        'txn-emails-with-complaints', 'txn-emails-with-complaints-grouped-by-date', 'txn-emails-unique-opens', 'txn-emails-unique-opens-grouped-by-date',
        'txn-emails-unique-clicks', 'txn-emails-unique-clicks-grouped-by-date', 'txn-emails-delivery-rate', 'txn-emails-delivery-rate-grouped-by-date',
        'txn-emails-complaint-rate', 'txn-emails-complaint-rate-grouped-by-date',
        'txn-sms-sent', 'txn-sms-sent-grouped-by-country', 'txn-sms-sent-grouped-by-date',
        'txn-sms-delivered', 'txn-sms-delivered-grouped-by-country', 'txn-sms-delivered-grouped-by-date',
        'txn-sms-delivery-rate', 'txn-sms-delivery-rate-grouped-by-date', 'txn-sms-error-distribution',
        'txn-sms-sent-by-parts', 'txn-sms-sent-by-parts-grouped-by-country', 'txn-sms-delivered-by-parts', 'txn-sms-delivered-by-parts-grouped-by-country',
        'txn-sms-total-price-grouped-by-country', 'txn-sms-average-price-grouped-by-country', 'txn-sms-average-price-by-parts-grouped-by-country',
        'journey-emails-sent', 'emails-sent-grouped-by-journey-activity', 'journey-emails-delivered', 'emails-delivered-grouped-by-journey-activity',
        'journey-emails-opened', 'emails-opened-grouped-by-journey-activity', 'journey-emails-clicked', 'emails-clicked-grouped-by-journey-activity',
        'journey-emails-hardbounced', 'emails-hardbounced-grouped-by-journey-activity', 'journey-emails-softbounced', 'emails-softbounced-grouped-by-journey-activity',
        'journey-emails-complained', 'emails-complained-grouped-by-journey-activity', 'journey-emails-rejected', 'emails-rejected-grouped-by-journey-activity',
        'journey-emails-unsubscribed', 'emails-unsubscribed-grouped-by-journey-activity'
    ]) as kpi_name, true as is_pinpoint
    union all
    -- Headwater's own.
    select unnest([
        'email-open-rate-by-people', 'email-open-rate-of-sent', 'email-open-rate-of-reported', 'clicks-by-people', 'hard-bounce-rate-of-delivered',
        'delivery-rate-reported', 'txn-emails-opened-by-people', 'txn-emails-clicked-by-people', 'txn-emails-delivered-reported',
        'journey-emails-opened-by-people', 'journey-emails-clicked-by-people', 'journey-emails-delivered-reported',
        'emails-opened-once-an-hour', 'emails-clicked-once-an-hour'
    ]), false
),

parted as (
    select
        *,
        regexp_replace(regexp_replace(kpi_name, '-grouped-by-.*$', ''), '^journey-', '') as measure,
        case kpi_name
            when 'txn-sms-error-distribution' then 'record-status'
            else nullif(regexp_extract(kpi_name, '-grouped-by-(.*)$', 1), '')
        end as grouping
    from names
)

select
    parted.kpi_name,
    measures.family,
    parted.measure,
    parted.grouping,
    parted.is_pinpoint,
    measures.meaning,
    measures.numerator,
    measures.denominator,
    'when the message was sent, else its first answer' as clock,
    'the app''s' as zone,
    measures.unit,
    measures.delivered_as,
    measures.read_by,
    measures.is_additive
from parted
left join measures using (measure)
