"""What somebody does in the shop in one go: a session's records, and a crawler's."""

import random
import time

from pipeline.producer import record_key
from pipeline.simulate.devices import CRAWLERS, ip_address
from pipeline.simulate.people import Device, Person
from pipeline.simulate.plan import HOUR, Plan, make_uuids, raised
from pipeline.simulate.records import LANDED, Fact, Message
from pipeline.simulate.shop import BROWSED, IN_APP_CAMPAIGN, NOTHING, POPULAR, QUANTITIES, SCREENS, SEARCHED

IDS_AT_ONCE = 12


class Session:
    """Writes the records of one session, one after the other; `now` is the true time in ms, which `add` moves on."""

    def __init__(self, rng: random.Random, plan: Plan, device: Device, start_ms: int) -> None:
        self.messages: list[Message] = []
        self.now = start_ms
        self.device = device
        self._rng = rng
        self._chance = rng.random
        self._ids = make_uuids(rng, IDS_AT_ONCE)
        self._start = start_ms + device.skew_ms
        self._haste = plan.haste
        self._head = device.head(plan.app, start_ms)
        self._tail = device.tail(plan.app, start_ms, False)
        self._tail_with_endpoint = device.tail(plan.app, start_ms, True)
        self._session_id: str | None = None
        self._session = '"session":{},'
        if device.has_sessions:
            # As Pinpoint's SDKs make it: the beginning of the endpoint's id, and when the device's clock says that it began.
            began = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._start // 1000))
            self._session_id = f"{device.endpoint.endpoint_id[:8]}-{began}{self._start % 1000:03d}"
            self._session = f'"session":{{"session_id":"{self._session_id}","start_timestamp":{self._start}}},'
        self._middle = self._head + self._session

    def add(
        self,
        event_type: str,
        content: str = NOTHING,
        pause_ms: int = 0,
        names_user: bool = False,
        purchase: tuple[int, int] | None = None,
        campaign_id: str = "",
    ) -> None:
        """A record of `event_type` with `content` (its attributes and metrics), then a pause of a second to `pause_ms`.

        With `campaign_id` it tells of that campaign's in-app message, one a session.
        """
        ids = self._ids or make_uuids(self._rng, IDS_AT_ONCE)
        device = self.device
        now = self.now
        event_ms = now + device.skew_ms
        arrival_ms = now + device.delay_ms + int(self._chance() * 900)
        value = (
            f'{{"event_id":"{ids.pop()}","event_type":"{event_type}","event_timestamp":{event_ms},"arrival_timestamp":{arrival_ms},'
            f"{self._middle}{content}{self._tail_with_endpoint if names_user else self._tail}{arrival_ms - 20 + device.skew_ms},"
            f'"received_at":{arrival_ms},"source":"simulate"}}}}'
        )
        self._ids = ids
        endpoint = device.endpoint
        self.messages.append(
            Message(
                arrival_ms,
                endpoint.key,
                value.encode(),
                LANDED,
                event_type,
                endpoint.endpoint_id,
                event_ms,
                arrival_ms,
                endpoint.user_id if names_user else None,
                self._session_id,
                purchase,
                behind_ms=20 - device.skew_ms,
                fact=Fact("IN_APP", event_type.split(".")[1], campaign_id, self._session_id or "", is_of_campaign=True)
                if campaign_id
                else None,
            )
        )
        if pause_ms:
            self.now = now + 1 + int((1000 + self._chance() * pause_ms) * self._haste)

    def stop(self) -> None:
        """The end as mobile SDKs report it: sometimes not at all, sometimes twice."""
        chance = self._chance()
        if self._session_id is None or chance < 0.15:
            return
        self._middle = self._head + f'{self._session[:-2]},"stop_timestamp":{self.now + self.device.skew_ms}}},'
        self.add("_session.stop", pause_ms=10)
        if chance > 0.97:
            self.add("_session.stop")


def visit_shop(rng: random.Random, plan: Plan, person: Person, start_ms: int, is_first: bool) -> Session:
    """A session of `person` from `start_ms` on; the first one begins with a sign-up."""
    chance = rng.random
    device = person.devices[int(raised(chance(), 2) * len(person.devices))]
    session = Session(rng, plan, device, start_ms)
    session.add("_session.start", pause_ms=400, names_user=True)
    if is_first and device.endpoint.user_id:
        session.add("_userauth.sign_up", pause_ms=20_000, names_user=True)
    elif device.endpoint.user_id and chance() < 0.2:
        if chance() < 0.1:
            session.add("_userauth.auth_fail", '"attributes":{"reason":"wrong password"}', pause_ms=15_000)
        session.add("_userauth.sign_in", '"attributes":{"method":"password"}', pause_ms=8_000, names_user=True)
    session.add("screen.view", SCREENS["home"], pause_ms=20_000)
    if device.has_sessions and chance() < 0.06:
        _read_in_app_message(session, chance())
    _look_around(rng, session, int(raised(chance(), 2) * (26 if person.is_keen else 13)))
    if device.has_sessions and chance() < 0.02:
        # The app lies in the background for longer than a session's gap: the client's session id holds it together.
        session.add("_session.pause")
        session.now += int((0.6 + chance()) * HOUR * plan.haste)
        session.add("_session.resume", pause_ms=3000)
        session.add("screen.view", SCREENS["account"], pause_ms=30_000)
    session.stop()
    return session


def _look_around(rng: random.Random, session: Session, turns: int) -> None:
    chance = rng.random
    add = session.add
    cart = []
    for _ in range(turns):
        turn = chance()
        if turn < 0.25:
            add("screen.view", SCREENS[BROWSED[int(chance() * len(BROWSED))]], pause_ms=40_000)
        elif turn < 0.35:
            add("search", SEARCHED[int(chance() * len(SEARCHED))], pause_ms=30_000)
        else:
            product = POPULAR[int(chance() * len(POPULAR))]
            add("product.view", product.viewed, pause_ms=90_000)
            wish = chance()
            if wish < 0.2:
                quantity = QUANTITIES[int(chance() * len(QUANTITIES))]
                add("cart.add", product.added(quantity), pause_ms=20_000)
                cart.append((product, quantity))
            elif wish < 0.24:
                add("wishlist.add", product.viewed, pause_ms=20_000)
    if not cart:
        return
    add("screen.view", SCREENS["cart"], pause_ms=40_000)
    if chance() < 0.1:
        product, quantity = cart.pop()
        add("cart.remove", product.added(quantity), pause_ms=10_000)
    if cart and chance() < 0.45:
        add("checkout.start", f'"attributes":{{}},"metrics":{{"items":{len(cart)}.0}}', pause_ms=90_000)
        if chance() < 0.7:
            store = {"ios": "apple", "android": "google"}.get(session.device.model.kind, "web")
            transaction_id = f"t-{rng.getrandbits(64):016x}"
            for product, quantity in cart:
                # One record for each product, as Pinpoint's SDKs do.
                content = product.bought(quantity, store, transaction_id)
                add("_monetization.purchase", content, pause_ms=5, names_user=True, purchase=(product.cents, quantity))


def _read_in_app_message(session: Session, chance: float) -> None:
    content = f'"attributes":{{"campaign_id":"{IN_APP_CAMPAIGN}","treatment_id":"0"}}'
    session.add("_inapp.message_displayed", content, pause_ms=6000, campaign_id=IN_APP_CAMPAIGN)
    answer = "_inapp.message_clicked" if chance < 0.3 else "_inapp.message_dismissed"
    session.add(answer, content, pause_ms=4000, campaign_id=IN_APP_CAMPAIGN)


def crawl_shop(rng: random.Random, app: str, start_ms: int) -> list[Message]:
    """A crawler's visit through the web shop: page views without device, session or user, only a user agent."""
    number = int(rng.random() * 40)
    agent = CRAWLERS[number % len(CRAWLERS)]
    endpoint_id = f"crawler-{number:02d}"
    key = record_key(app, endpoint_id, "")
    messages = []
    now = start_ms
    pages = 3 + int(rng.random() * 20)
    for event_id, page in zip(make_uuids(rng, pages), range(pages), strict=True):
        now += 500 + int(rng.random() * 4000)
        value = (
            f'{{"event_id":"{event_id}","event_type":"page.view","event_timestamp":{now},"arrival_timestamp":{now + 30},'
            f'"event_version":"3.0","application":{{"app_id":"{app}","sdk":{{}}}},"client":{{"client_id":"{endpoint_id}"}},"device":{{}},'
            f'"session":{{}},"attributes":{{"path":"/products?page={page}"}},'
            f'"headwater":{{"client_ip":"{ip_address(number)}","user_agent":"{agent}","sent_at":{now + 10},"received_at":{now + 30},'
            f'"source":"simulate"}}}}'
        )
        messages.append(Message(now + 30, key, value.encode(), LANDED, "page.view", endpoint_id, now, now + 30, is_bot=True, behind_ms=20))
    return messages
