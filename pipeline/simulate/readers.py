"""Who reads an e-mail: the agents of people, and the machines that open and click before a person does, if one does at all."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.simulate.devices import ip_address
from pipeline.simulate.plan import seeded

READERS = [
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
]
LINKS = [f"https://shop.example.com/{path}?utm_source=mail" for path in ("offers", "new", "account")]
# Apple's proxies say this and nothing else.
APPLE = "Mozilla/5.0"
GATEWAYS = [
    "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))",
    "Mozilla/5.0 (compatible; Mimecast URL Protection)",
    "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
]


class MachineReading(NamedTuple):
    """An open or a click that no person made."""

    kind: str
    at_ms: int
    agent: str
    address: str
    link: str


def seed_machines(message_id: str) -> random.Random:
    """Chance for the machines of one message: from its id alone, so that the run's other records do not depend on them."""
    return seeded(5, int(message_id[4:20], 16), int(message_id[20:28], 16))


def read_by_machines(rng: random.Random, sent_ms: int, delivered_ms: int) -> Iterator[MachineReading]:
    """What machines make of a message that is delivered at `delivered_ms`; most messages meet none."""
    chance = rng.random
    machine = chance()
    address = ip_address(rng.getrandbits(20))
    person = READERS[int(chance() * len(READERS))]
    if machine < 0.10:
        # Fetched ahead for whoever lets Apple do so, minutes after it came.
        yield MachineReading("open", delivered_ms + 1000 + int(chance() * 600_000), APPLE, address, "")
    elif machine < 0.14:
        # A gateway looks into it before it lets it through.
        gateway = GATEWAYS[int(chance() * len(GATEWAYS))]
        at = sent_ms + 450 + int(chance() * (delivered_ms - sent_ms - 450))
        yield MachineReading("open", at, gateway, address, "")
        for place, link in enumerate(LINKS):
            yield MachineReading("click", at + 40 * place, gateway, address, link)
    elif machine < 0.16:
        # A scanner that calls itself a browser, within seconds of the send.
        yield MachineReading("open", sent_ms + 450 + int(chance() * 4500), person, address, "")
    elif machine < 0.18:
        # Another one, once the message is there: all links at once.
        at = delivered_ms + 6000 + int(chance() * 60_000)
        for link in LINKS:
            yield MachineReading("click", at, person, address, link)
            at += 100 + int(chance() * 300)
