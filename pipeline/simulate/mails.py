"""An e-mail's life as Pinpoint's stream told it: every event of a message bears the time of sending, the moment is its arrival."""

import random
from collections.abc import Iterator

from pipeline.producer import record_key
from pipeline.simulate.devices import ip_address
from pipeline.simulate.people import Endpoint
from pipeline.simulate.plan import HOUR, make_uuids, raised
from pipeline.simulate.records import LANDED, Message
from pipeline.simulate.shop import ACCOUNT, SENDER, compact

READERS = [
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
]
LINK = "https://shop.example.com/offers?utm_source=mail"


def follow_mail(
    rng: random.Random, app: str, subject: str, endpoint: Endpoint, endpoint_id: str, ids: dict[str, str], sent_ms: int
) -> Iterator[Message]:
    """Sent; delivered, bounced or refused; perhaps opened (and opened again), clicked, unsubscribed, complained of."""
    chance = rng.random
    mail = _Mail(rng, app, subject, endpoint, endpoint_id, ids, sent_ms)
    fate = chance()
    if fate < 0.001:
        yield mail.record("_email.rendering_failure", "rendering failure", sent_ms + 200, "")
        return
    yield mail.record("_email.send", "received", sent_ms + 400, '"send":{}')
    if fate < 0.003:
        yield mail.record("_email.rejected", "rejected", sent_ms + 900, '"reject":{"reason":"Bad content"}')
        return
    if fate < 0.022:
        yield _bounce(mail, sent_ms + 1500, is_hard=fate < 0.012)
        return
    took = 700 + int(raised(chance(), 5) * 90_000)
    delivery = {
        "smtp_response": "250 2.0.0 OK",
        "reporting_mta": "a8-50.smtp-out.mail.example.com",
        "recipients": [endpoint.address],
        "processing_time_millis": took,
    }
    yield mail.record("_email.delivered", "delivered", sent_ms + took, f'"delivery":{compact(delivery)}')
    if chance() > 0.34:
        return
    yield from _read(rng, mail, sent_ms + took)


def _read(rng: random.Random, mail: "_Mail", now: int) -> Iterator[Message]:
    chance = rng.random
    reader = {"ip_address": ip_address(rng.getrandbits(20)), "user_agent": READERS[int(chance() * len(READERS))]}
    opens = 1 + (chance() < 0.3) + (chance() < 0.1)
    for _ in range(opens):
        # Most open within the first hours, some a week later.
        now += 20_000 + int(raised(chance(), 4) * 190 * HOUR)
        yield mail.record("_email.open", "opened", now, f'"open":{compact(reader)}')
    if chance() < 0.22:
        yield mail.record("_email.click", LINK, now + 15_000, f'"click":{compact({**reader, "link": LINK, "link_tags": {}})}')
    if chance() < 0.01:
        link = "https://shop.example.com/unsubscribe"
        click = {**reader, "link": link, "link_tags": {"unsubscribeLinkTag": ["click"]}}
        yield mail.record("_email.unsubscribe", "unsubscribed", now + 40_000, f'"click":{compact(click)}')
    if chance() < 0.003:
        complaint = {
            "complained_recipients": [{"email_address": mail.address}],
            "feedback_id": f"{rng.getrandbits(64):016x}",
            "user_agent": reader["user_agent"],
            "complaint_feedback_type": "abuse",
        }
        yield mail.record("_email.complaint", "complaint", now + 60_000, f'"complaint":{compact(complaint)}')


def _bounce(mail: "_Mail", at_ms: int, is_hard: bool) -> Message:
    recipient = {
        "email_address": mail.address,
        "action": "failed",
        "status": "5.1.1" if is_hard else "4.2.2",
        "diagnostic_code": "smtp; 550 5.1.1 user unknown" if is_hard else "smtp; 452 4.2.2 mailbox full",
    }
    bounce = {
        "bounce_type": "Permanent" if is_hard else "Transient",
        "bounce_sub_type": "General" if is_hard else "MailboxFull",
        "bounced_recipients": [recipient],
        "feedback_id": mail.message_id[:16],
        "reporting_mta": "dsn; a8-50.smtp-out.mail.example.com",
    }
    kind = "hardbounce" if is_hard else "softbounce"
    return mail.record(f"_email.{kind}", kind, at_ms, f'"bounce":{compact(bounce)}')


class _Mail:
    """One message; `record` writes what happened to it."""

    def __init__(
        self, rng: random.Random, app: str, subject: str, endpoint: Endpoint, endpoint_id: str, ids: dict[str, str], sent_ms: int
    ) -> None:
        self.address = endpoint.address
        self.message_id = f"0100{rng.getrandbits(96):024x}-{rng.getrandbits(32):08x}-000000"
        self._rng, self._sent_ms, self._ids, self._endpoint_id = rng, sent_ms, ids, endpoint_id
        self._key = record_key(app, endpoint_id, "")
        self._head = (
            f'"event_version":"3.1","application":{{"app_id":"{app}","sdk":{{}}}},"client":{{"client_id":"{endpoint_id}"}},'
            f'"device":{{"platform":{{}}}},"session":{{}},"attributes":'
        )
        mail = {
            "message_id": self.message_id,
            "message_send_timestamp": sent_ms,
            "from_address": SENDER,
            "destination": [endpoint.address],
            "headers_truncated": False,
            "headers": [{"name": "Subject", "value": subject}],
            "common_headers": {"from": SENDER, "to": [endpoint.address], "subject": subject},
        }
        self._tail = (
            f',"client_context":{{"custom":{{"legacy_identifier":"{app}"}}}},"awsAccountId":"{ACCOUNT}",'
            f'"facets":{{"email_channel":{{"mail_event":{{"mail":{compact(mail)}'
        )

    def record(self, event_type: str, feedback: str, arrival_ms: int, facet: str) -> Message:
        (event_id,) = make_uuids(self._rng, 1)
        value = (
            f'{{"event_id":"{event_id}","event_type":"{event_type}","event_timestamp":{self._sent_ms},"arrival_timestamp":{arrival_ms},'
            f"{self._head}{compact({**self._ids, 'feedback': feedback})}{self._tail}{',' if facet else ''}{facet}}}}}}},"
            f'"headwater":{{"source":"simulate"}}}}'
        )
        return Message(arrival_ms, self._key, value.encode(), LANDED, event_type, self._endpoint_id, self._sent_ms, arrival_ms)
