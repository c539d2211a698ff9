"""Of which figures of the ledger's messages each measure of kpis.names is made."""

from typing import NamedTuple


class Made(NamedTuple):
    """A measure: sums of figures of one channel, of all where it is None; a count has no `denominator`."""

    channel: str | None
    numerator: tuple[str, ...]
    denominator: str = ""


CLICKS = ("clicks", "machine_clicks")
CAMPAIGNS = {
    "successful-delivery-rate": Made(None, ("unless_hardbounced",), "sent"),
    "email-open-rate": Made("EMAIL", ("opened_of_unless_hardbounced",), "unless_hardbounced"),
    "push-open-rate": Made("PUSH", ("opened_of_unless_hardbounced",), "unless_hardbounced"),
    "unique-deliveries": Made(None, ("reached_endpoints",)),
    "successful-deliveries": Made(None, ("unless_hardbounced",)),
    "hard-bounce-rate": Made("EMAIL", ("hardbounced",), "sent"),
    "attempted-deliveries": Made(None, ("sent",)),
    "clicks": Made("EMAIL", CLICKS),
    "direct-email-opens": Made("EMAIL", ("all_opened",)),
    "direct-push-opens": Made("PUSH", ("all_opened",)),
    "sms-spend": Made("SMS", ("price_millicents",)),
    "email-open-rate-by-people": Made("EMAIL", ("people_opened_of_unless_hardbounced",), "unless_hardbounced"),
    "email-open-rate-of-sent": Made("EMAIL", ("opened_of_sent",), "sent"),
    "email-open-rate-of-reported": Made("EMAIL", ("opened_of_delivered",), "delivered"),
    "clicks-by-people": Made("EMAIL", ("clicks",)),
    "hard-bounce-rate-of-delivered": Made("EMAIL", ("hardbounced",), "unless_hardbounced"),
    "delivery-rate-reported": Made(None, ("delivered",), "sent"),
}
JOURNEYS = {
    "emails-sent": Made("EMAIL", ("sent",)),
    "emails-delivered": Made("EMAIL", ("unless_bounced",)),
    "emails-opened": Made("EMAIL", ("all_opened",)),
    "emails-clicked": Made("EMAIL", CLICKS),
    "emails-hardbounced": Made("EMAIL", ("hardbounced",)),
    "emails-softbounced": Made("EMAIL", ("softbounced",)),
    "emails-complained": Made("EMAIL", ("complained",)),
    "emails-rejected": Made("EMAIL", ("rejected",)),
    "emails-unsubscribed": Made("EMAIL", ("opt_outs",)),
    "emails-opened-by-people": Made("EMAIL", ("opened",)),
    "emails-clicked-by-people": Made("EMAIL", ("clicks",)),
    "emails-delivered-reported": Made("EMAIL", ("delivered",)),
}
TRANSACTIONAL = {
    "txn-emails-sent": Made("EMAIL", ("sent",)),
    "txn-emails-delivered": Made("EMAIL", ("unless_bounced",)),
    "txn-emails-opened": Made("EMAIL", ("all_opened",)),
    "txn-emails-clicked": Made("EMAIL", CLICKS),
    "txn-emails-hard-bounced": Made("EMAIL", ("hardbounced",)),
    "txn-emails-soft-bounced": Made("EMAIL", ("softbounced",)),
    "txn-emails-with-complaints": Made("EMAIL", ("complained",)),
    "txn-emails-unique-opens": Made("EMAIL", ("opened_endpoints",)),
    "txn-emails-unique-clicks": Made("EMAIL", ("clicked_endpoints",)),
    "txn-emails-delivery-rate": Made("EMAIL", ("unless_bounced",), "sent"),
    "txn-emails-complaint-rate": Made("EMAIL", ("complained",), "sent"),
    "txn-emails-opened-by-people": Made("EMAIL", ("opened",)),
    "txn-emails-clicked-by-people": Made("EMAIL", ("clicks",)),
    "txn-emails-delivered-reported": Made("EMAIL", ("delivered",)),
    "txn-sms-sent": Made("SMS", ("sent",)),
    "txn-sms-delivered": Made("SMS", ("delivered",)),
    "txn-sms-delivery-rate": Made("SMS", ("delivered",), "sent"),
    "txn-sms-error-distribution": Made("SMS", ("failed",)),
    "txn-sms-sent-by-parts": Made("SMS", ("parts",)),
    "txn-sms-delivered-by-parts": Made("SMS", ("delivered_parts",)),
    "txn-sms-total-price": Made("SMS", ("price_millicents",)),
    "txn-sms-average-price": Made("SMS", ("price_millicents",), "sent"),
    "txn-sms-average-price-by-parts": Made("SMS", ("price_millicents",), "parts"),
}
MEASURES = {"campaign_kpis": CAMPAIGNS, "journey_kpis": JOURNEYS, "txn_email_kpis": TRANSACTIONAL, "txn_sms_kpis": TRANSACTIONAL}
