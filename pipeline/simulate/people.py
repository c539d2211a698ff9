"""Who there is: people with their devices, addresses and habits, each made from the seed and a number alone."""

import functools
import random
from dataclasses import dataclass

from pipeline.producer import record_key
from pipeline.simulate.devices import LOCALES, MODELS, Model, ip_address
from pipeline.simulate.plan import DAY, HOUR, Plan, make_uuids, raised, seeded
from pipeline.simulate.shop import compact, release_at

FIRST = ["ada", "bjorn", "chloe", "dmitri", "elena", "fatima", "george", "hana", "ines", "jonas", "kaori", "lucia", "mateo", "nora", "omar"]
LAST = ["abe", "costa", "dubois", "evans", "fischer", "garcia", "haas", "ito", "jensen", "kumar", "lopez", "moreau", "novak", "okafor"]
TIERS = ("bronze", "silver", "gold")


@dataclass(frozen=True)
class Endpoint:
    """An address of a person on one channel.

    `text` is the endpoint as Pinpoint put it into client_context: JSON inside a JSON string, quoted; `user_id` is what it says.
    """

    endpoint_id: str
    key: bytes
    channel: str
    address: str
    text: str
    user_id: str | None


@dataclass(frozen=True)
class Device:
    """A device, its app an endpoint. `skew_ms` is how far its clock is ahead; without `has_sessions` its SDK sends no session."""

    endpoint: Endpoint
    model: Model
    client: str
    sender: str
    lag_days: int
    delay_ms: int
    skew_ms: int
    has_sessions: bool

    def head(self, app: str, at_ms: int) -> str:
        """What all records of a session have in common before `session`."""
        name, code = release_at(at_ms, self.lag_days)
        sdk, sdk_version = self.model.sdk
        build = f'"package_name":"com.example.shop","version_code":"{code}",' if self.model.kind == "android" else ""
        return (
            f'"event_version":"3.0","application":{{"app_id":"{app}",{build}"version_name":"{name}",'
            f'"sdk":{{"name":"{sdk}","version":"{sdk_version}"}}}},{self.client}'
        )

    def tail(self, app: str, at_ms: int, has_endpoint: bool) -> str:
        """What they have in common after the metrics, up to the value of headwater.sent_at."""
        custom = f'"client_context":{{"custom":{{"endpoint":{self.endpoint.text},"legacy_identifier":"{app}"}}}},' if has_endpoint else ""
        sender = self.sender.replace("{version}", release_at(at_ms, self.lag_days)[0])
        return f',{custom}"headwater":{{{sender},"sent_at":'


@dataclass(frozen=True)
class Person:
    """Somebody who may visit the shop; `email` and `phone` are None where they gave none."""

    number: int
    devices: tuple[Device, ...]
    email: Endpoint | None
    phone: Endpoint | None
    country: str
    is_keen: bool


class People:
    """Everybody of a plan, made when first asked for; at most 50,000 are kept, since each takes some 5 kB."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.find = functools.lru_cache(maxsize=50_000)(self._make)

    def _make(self, number: int) -> Person:
        """Person `number` (from 0)."""
        plan = self._plan
        rng = seeded(plan.seed, 1, number)
        chance = rng.random
        locale = LOCALES[int(chance() * len(LOCALES))]
        user_id = f"user-{plan.seed}-{number:07d}"
        tier = TIERS[int(raised(chance(), 2) * 3)]
        is_known = chance() < 0.7
        is_skewed = chance() < plan.dirty
        user: dict[str, object] = {"UserId": user_id, "UserAttributes": {"tier": [tier], "language": [locale[2]]}}
        user = user if is_known else {}
        devices = tuple(self._make_device(rng, locale, user, is_skewed) for _ in range(1 + (chance() < 0.35) + (chance() < 0.1)))
        name = f"{FIRST[int(chance() * len(FIRST))]}.{LAST[int(chance() * len(LAST))]}"
        has_email, has_phone = is_known and chance() < 0.85, is_known and chance() < 0.4
        email = self._make_endpoint(rng, "EMAIL", f"{name}.{number}@example.com", user) if has_email else None
        phone = self._make_endpoint(rng, "SMS", f"+1555{number % 10_000_000:07d}", user) if has_phone else None
        return Person(number, devices, email, phone, locale[1], chance() < 0.25)

    def _make_device(self, rng: random.Random, locale: tuple[str, str, str], user: dict[str, object], is_skewed: bool) -> Device:
        chance = rng.random
        model = MODELS[int(chance() * len(MODELS))]
        address = f"{rng.getrandbits(256):064x}" if model.channel else ""
        endpoint = self._make_endpoint(rng, model.channel, address, user)
        (cognito_id,) = make_uuids(rng, 1)
        device: dict[str, object] = {}
        if model.has_device:
            device = {
                "locale": {"code": locale[0], "country": locale[1], "language": locale[2]} if model.kind == "ios" else {"code": locale[0]},
                "make": model.make,
                "model": model.model,
                "platform": {"name": model.platform, "version": model.platform_version},
            }
        client = {"client_id": endpoint.endpoint_id}
        if chance() < 0.1:
            client["cognito_id"] = f"us-east-1:{cognito_id}"
        return Device(
            endpoint=endpoint,
            model=model,
            client=f'"client":{compact(client)},"device":{compact(device)},',
            sender=f'"client_ip":"{ip_address(rng.getrandbits(20))}","user_agent":"{model.user_agent}"',
            lag_days=int(raised(chance(), 3) * 60),
            delay_ms=20 + int(raised(chance(), 4) * 4000),
            skew_ms=(int((chance() - 0.5) * 6 * HOUR) or HOUR) if is_skewed and chance() < 0.8 else 400 * DAY if is_skewed else 0,
            has_sessions=model.kind in ("ios", "android") or chance() < 0.85,
        )

    def _make_endpoint(self, rng: random.Random, channel: str, address: str, user: dict[str, object]) -> Endpoint:
        (endpoint_id,) = make_uuids(rng, 1)
        found: dict[str, object] = {"EndpointStatus": "ACTIVE", "OptOut": "NONE"}
        if channel:
            found = {"ChannelType": channel, "Address": address, **found}
        if user:
            found["User"] = user
        return Endpoint(
            endpoint_id=endpoint_id,
            key=record_key(self._plan.app, endpoint_id, ""),
            channel=channel,
            address=address,
            text=compact(compact(found)),
            user_id=str(user["UserId"]) if user else None,
        )
