"""An e-mail's life as Pinpoint's stream told it: every event of a message bears the time of sending, the moment is its arrival."""

import random
from collections.abc import Iterator

from pipeline.producer import record_key
from pipeline.simulate.devices import ip_address
from pipeline.simulate.people import Endpoint
from pipeline.simulate.plan import HOUR, make_uuids, raised
from pipeline.simulate.readers import LINKS, READERS, read_by_machines, seed_machines
from pipeline.simulate.records import LANDED, Message, build_fact
from pipeline.simulate.shop import ACCOUNT, SENDER, compact


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
    yield from _scan(mail, sent_ms, sent_ms + took)
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
        yield mail.read("open", now, reader)
    if chance() < 0.22:
        yield mail.read("click", now + 15_000, reader, LINKS[0])
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


def _scan(mail: "_Mail", sent_ms: int, delivered_ms: int) -> Iterator[Message]:
    rng = seed_machines(mail.message_id)
    for reading in read_by_machines(rng, sent_ms, delivered_ms):
        reader = {"ip_address": reading.address, "user_agent": reading.agent}
        yield mail.read(reading.kind, reading.at_ms, reader, reading.link, rng)


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

    def read(self, kind: str, at_ms: int, reader: dict[str, str], link: str = "", rng: random.Random | None = None) -> Message:
        """It is opened or clicked; with `rng` the event's id is by that chance."""
        details = {**reader, "link": link, "link_tags": {}} if link else reader
        feedback = link or "opened"
        message = self.record(f"_email.{kind}", feedback, at_ms, f'"{kind}":{compact(details)}', rng)
        fact = build_fact("EMAIL", kind, self._ids, self.message_id, reader["user_agent"], link or reader["ip_address"])
        return message._replace(fact=fact)

    def record(self, event_type: str, feedback: str, arrival_ms: int, facet: str, rng: random.Random | None = None) -> Message:
        (event_id,) = make_uuids(rng or self._rng, 1)
        value = (
            f'{{"event_id":"{event_id}","event_type":"{event_type}","event_timestamp":{self._sent_ms},"arrival_timestamp":{arrival_ms},'
            f"{self._head}{compact({**self._ids, 'feedback': feedback})}{self._tail}{',' if facet else ''}{facet}}}}}}},"
            f'"headwater":{{"source":"simulate"}}}}'
        )
        fact = build_fact("EMAIL", event_type.removeprefix("_email."), self._ids, self.message_id)
        return Message(arrival_ms, self._key, value.encode(), LANDED, event_type, self._endpoint_id, self._sent_ms, arrival_ms, fact=fact)
