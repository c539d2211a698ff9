"""What the shop sends: campaigns and journeys by e-mail, SMS and push, and what becomes of each message."""

import dataclasses
import random
from collections.abc import Iterator

from pipeline.producer import record_key
from pipeline.simulate.mails import follow_mail
from pipeline.simulate.people import Device, Endpoint, Person
from pipeline.simulate.plan import DAY, HOUR, MINUTE, Plan, make_uuids, raised, seeded, spread
from pipeline.simulate.records import LANDED, Fact, Message, build_fact
from pipeline.simulate.shop import ACCOUNT, CAMPAIGNS, FORGOTTEN_CART, WELCOME, Campaign, Journey, compact

DELIVERY_TYPES = {"APNS": "APNS", "GCM": "GCM", "EMAIL": "EMAIL", "SMS": "SMS"}
SEND_STATUS = spread(("SUCCESS", 95), ("DAILY_CAP", 2), ("QUIET_TIME", 1), ("THROTTLED", 1), ("FAILURE", 1))
SMS_STATUS = spread(("DELIVERED", 30), ("SUCCESSFUL", 60), ("UNREACHABLE", 4), ("CARRIER_UNREACHABLE", 3), ("BLOCKED", 2), ("INVALID", 1))
# For each part, in thousandths of a US cent.
SMS_PRICE = {"US": 645.0, "CA": 720.0, "GB": 3980.0, "DE": 8410.0}
SMS_PRICE_ELSEWHERE = 5310.0
# A text in other letters than GSM's own holds 70 of them and not 160: the news of an order comes in two parts.
TWO_PARTS = ("JP", "CN")


def find_runs(start_ms: int, end_ms: int) -> Iterator[tuple[Campaign, int]]:
    """Campaigns and the times at which they begin to be sent, from `start_ms` to before `end_ms`."""
    for day in range(start_ms // DAY, -(-end_ms // DAY)):
        for campaign in CAMPAIGNS:
            # The first of January 1970 was a Thursday, weekday 3.
            at = day * DAY + campaign.hour * HOUR
            if (day + 3) % 7 in campaign.weekdays and start_ms <= at < end_ms:
                yield campaign, at


def send_campaign(rng: random.Random, plan: Plan, campaign: Campaign, run_ms: int, person: Person, now: int) -> list[Message]:
    """The decision to send `campaign` to `person` at `now`, and what follows; nothing where the person lacks the channel."""
    endpoint, device = _find_address(person, campaign.channel)
    if endpoint is None:
        return []
    # Who gets which treatment depends on the person and the campaign alone, so that a run can be told again.
    cohort = int(seeded(plan.seed, 2, person.number, int(campaign.campaign_id, 16)).random() * 100)
    is_held_out = cohort < campaign.holdout_percent
    status = "HOLDOUT" if is_held_out else SEND_STATUS[int(rng.random() * len(SEND_STATUS))]
    run_id = f"{(int(campaign.campaign_id, 16) ^ (run_ms << 64)) & ((1 << 128) - 1):032x}"
    ids = {"campaign_id": campaign.campaign_id, "campaign_activity_id": run_id, "treatment_id": str(cohort % campaign.treatments)}
    attributes = {**ids, "delivery_type": DELIVERY_TYPES[endpoint.channel], "campaign_send_status": status}
    fact = build_fact(campaign.channel, f"decided {status}", ids)
    messages = [message_record(rng, plan.app, "_campaign.send", endpoint, attributes, now, now + 150, names_user=True, fact=fact)]
    if status == "SUCCESS":
        messages += _follow(rng, plan.app, campaign.title, endpoint, device, ids, now, person.country)
    return messages


def send_journey(rng: random.Random, plan: Plan, journey: Journey, person: Person, now: int) -> list[Message]:
    """The one activity of `journey` for `person` at `now`, and what follows."""
    endpoint, device = _find_address(person, journey.channel)
    if endpoint is None:
        return []
    ids = {"journey_id": journey.journey_id, "journey_run_id": f"{now // DAY:032x}", "journey_activity_id": journey.activity_id}
    attributes = {
        **ids,
        "journey_activity_type": journey.channel,
        "journey_send_status": "SUCCESS",
        "journey_send_status_message": "Message was sent",
        "journey_send_status_code": "200",
    }
    fact = build_fact(journey.channel, "decided SUCCESS", ids)
    sent = message_record(rng, plan.app, "_journey.send", endpoint, attributes, now, now + 150, names_user=True, fact=fact)
    return [sent, *_follow(rng, plan.app, journey.title, endpoint, device, ids, now, person.country)]


def answer_session(rng: random.Random, plan: Plan, person: Person, event_types: set[str], now: int) -> list[Message]:
    """What the shop sends by itself after a session that ended at `now`: a welcome, a receipt, a reminder of a full cart."""
    if "_userauth.sign_up" in event_types:
        return send_journey(rng, plan, WELCOME, person, now + 5 * MINUTE)
    if "_monetization.purchase" in event_types:
        return [*_send_receipt(rng, plan, person, now + 2000), *_send_news_of_order(plan, person, now + 10 * MINUTE)]
    if "cart.add" in event_types:
        return send_journey(rng, plan, FORGOTTEN_CART, person, now + 4 * HOUR)
    return []


def _send_receipt(rng: random.Random, plan: Plan, person: Person, now: int) -> list[Message]:
    """An e-mail to whoever gave an address; a transactional message has an endpoint id of its own, as Pinpoint gave it one."""
    if person.email is None:
        return []
    (endpoint_id,) = make_uuids(rng, 1)
    return list(follow_mail(rng, plan.app, "Your receipt", person.email, endpoint_id, {}, now))


def _send_news_of_order(plan: Plan, person: Person, now: int) -> list[Message]:
    """A text that the order is on its way, to whoever gave a number; by a chance of its own, so that other records do not depend on it."""
    if person.phone is None:
        return []
    rng = seeded(plan.seed, 6, person.number, now)
    (endpoint_id,) = make_uuids(rng, 1)
    endpoint = dataclasses.replace(person.phone, endpoint_id=endpoint_id, key=record_key(plan.app, endpoint_id, ""))
    parts = 2 if person.country in TWO_PARTS else 1
    return list(_follow_text(rng, plan.app, endpoint, {}, now, person.country, "Transactional", parts))


def _find_address(person: Person, channel: str) -> tuple[Endpoint | None, Device | None]:
    if channel == "EMAIL":
        return person.email, None
    if channel == "SMS":
        return person.phone, None
    device = next((device for device in person.devices if device.model.channel), None)
    return (device.endpoint, device) if device else (None, None)


def _follow(
    rng: random.Random, app: str, title: str, endpoint: Endpoint, device: Device | None, ids: dict[str, str], now: int, country: str
) -> list[Message]:
    if device is not None:
        return list(_follow_push(rng, app, device, ids, now))
    if endpoint.channel == "SMS":
        return list(_follow_text(rng, app, endpoint, ids, now, country))
    return list(follow_mail(rng, app, title, endpoint, endpoint.endpoint_id, ids, now))


def _follow_push(rng: random.Random, app: str, device: Device, ids: dict[str, str], now: int) -> Iterator[Message]:
    """Received by the app in the background or, when it is open, in the foreground; opened by some, minutes to hours later."""
    family = "_campaign" if "campaign_id" in ids else "_journey"
    chance = rng.random
    received = now + 500 + int(chance() * 60_000)
    if family == "_campaign":
        where = "received_foreground" if chance() < 0.06 else "received_background"
        yield _device_record(rng, app, f"{family}.{where}", device, ids, received)
    if chance() < 0.12:
        yield _device_record(rng, app, f"{family}.opened_notification", device, ids, received + 2000 + int(raised(chance(), 3) * 5 * HOUR))


def _follow_text(
    rng: random.Random,
    app: str,
    endpoint: Endpoint,
    ids: dict[str, str],
    now: int,
    country: str,
    message_type: str = "Promotional",
    parts: int = 1,
) -> Iterator[Message]:
    """Buffered by the carrier, then told of once it is delivered or not; a few people opt out by an answer."""
    chance = rng.random
    message_id = f"{rng.getrandbits(128):032x}"
    status = SMS_STATUS[int(chance() * len(SMS_STATUS))]
    attributes = {
        **ids,
        "sender_request_id": f"{rng.getrandbits(128):032x}",
        "message_id": message_id,
        "origination_phone_number": "+15550100",
        "destination_phone_number": endpoint.address,
        "iso_country_code": country,
        "number_of_message_parts": str(parts),
        "message_type": message_type,
    }
    done = now + 3000 + int(raised(chance(), 6) * 20 * HOUR)
    price = SMS_PRICE.get(country, SMS_PRICE_ELSEWHERE) * parts
    buffered = {**attributes, "record_status": "SUCCESSFUL"}
    fact = build_fact("SMS", "BUFFERED", ids, message_id)._replace(parts=parts)
    yield message_record(rng, app, "_SMS.BUFFERED", endpoint, buffered, now + 800, now + 1000, fact=fact)
    kind = "SUCCESS" if status in ("DELIVERED", "SUCCESSFUL") else "FAILURE"
    told = {**attributes, "record_status": status}
    metrics = {"price_in_millicents_usd": price}
    yield message_record(rng, app, f"_SMS.{kind}", endpoint, told, done, done + 300, metrics, fact=fact._replace(kind=kind, price=price))
    if chance() < 0.004:
        opted_out = {**attributes, "record_status": "OPTED_OUT"}
        fact = fact._replace(kind="OPTOUT")
        yield message_record(rng, app, "_SMS.OPTOUT", endpoint, opted_out, done + MINUTE, done + MINUTE, fact=fact)


def _device_record(rng: random.Random, app: str, event_type: str, device: Device, ids: dict[str, str], now: int) -> Message:
    (event_id,) = make_uuids(rng, 1)
    event_ms, arrival_ms = now + device.skew_ms, now + device.delay_ms
    value = (
        f'{{"event_id":"{event_id}","event_type":"{event_type}","event_timestamp":{event_ms},"arrival_timestamp":{arrival_ms},'
        f'{device.head(app, now)}"session":{{}},"attributes":{compact(ids)}{device.tail(app, now, False)}{arrival_ms - 20 + device.skew_ms},'
        f'"received_at":{arrival_ms},"source":"simulate"}}}}'
    )
    endpoint = device.endpoint
    message = Message(arrival_ms, endpoint.key, value.encode(), LANDED, event_type, endpoint.endpoint_id, event_ms, arrival_ms)
    return message._replace(behind_ms=20 - device.skew_ms, fact=build_fact("PUSH", event_type.split(".")[1], ids))


def message_record(
    rng: random.Random,
    app: str,
    event_type: str,
    endpoint: Endpoint,
    attributes: dict[str, str],
    event_ms: int,
    arrival_ms: int,
    metrics: dict[str, float] | None = None,
    names_user: bool = False,
    fact: Fact | None = None,
) -> Message:
    """A record of something that happened to `endpoint`: no device, no session; with `names_user` the endpoint as it then was."""
    (event_id,) = make_uuids(rng, 1)
    custom = f'"endpoint":{endpoint.text},' if names_user else ""
    amounts = f'"metrics":{compact(metrics)},' if metrics else ""
    value = (
        f'{{"event_id":"{event_id}","event_type":"{event_type}","event_timestamp":{event_ms},"arrival_timestamp":{arrival_ms},'
        f'"event_version":"3.1","application":{{"app_id":"{app}","sdk":{{}}}},"client":{{"client_id":"{endpoint.endpoint_id}"}},'
        f'"device":{{"platform":{{}}}},"session":{{}},"attributes":{compact(attributes)},{amounts}'
        f'"client_context":{{"custom":{{{custom}"legacy_identifier":"{app}"}}}},"awsAccountId":"{ACCOUNT}",'
        f'"headwater":{{"source":"simulate"}}}}'
    )
    user_id = endpoint.user_id if names_user else None
    return Message(
        arrival_ms, endpoint.key, value.encode(), LANDED, event_type, endpoint.endpoint_id, event_ms, arrival_ms, user_id=user_id, fact=fact
    )
