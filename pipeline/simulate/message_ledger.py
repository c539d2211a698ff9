"""What became of each message, counted from what was sent: people's opens and clicks apart from machines', by queries/README.md's definitions."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import NamedTuple

from pipeline.simulate.message_figures import TEXT_FIGURES, Key, count_figures, refine
from pipeline.simulate.records import Fact

# The defaults of setting MACHINE_OPEN_SECS and of the definition of a burst.
MACHINE_MS = 5000
BURST_MS = 1000
# Who the machines of readers.py are, by what no person's agent is or has in it.
MACHINE_AGENTS = ("Barracuda", "Mimecast", "Proofpoint")
FETCHES_AHEAD = "Mozilla/5.0"

# What each kind of event makes of its message, e-mails' opens and clicks apart.
MEANINGS: dict[tuple[str, str], tuple[str, ...]] = {
    ("EMAIL", "send"): ("sent",),
    ("EMAIL", "delivered"): ("sent", "delivered"),
    ("EMAIL", "rejected"): ("sent", "rejected"),
    ("EMAIL", "rendering_failure"): ("rendering_failed",),
    ("EMAIL", "hardbounce"): ("sent", "hardbounced"),
    ("EMAIL", "softbounce"): ("sent", "softbounced"),
    ("EMAIL", "complaint"): ("sent", "complained"),
    ("EMAIL", "unsubscribe"): ("sent", "opted_out"),
    ("EMAIL", "open"): ("sent",),
    ("EMAIL", "click"): ("sent",),
    ("SMS", "BUFFERED"): ("sent",),
    ("SMS", "SUCCESS"): ("sent", "delivered"),
    ("SMS", "FAILURE"): ("sent", "failed"),
    ("SMS", "OPTOUT"): ("opted_out",),
    ("PUSH", "decided SUCCESS"): ("sent", "delivered"),
    ("PUSH", "opened_notification"): ("opened",),
    ("IN_APP", "message_displayed"): ("sent", "delivered"),
    ("IN_APP", "message_clicked"): ("clicked",),
}


# Channel, and campaign or journey.
Cause = tuple[str, str]
# Whom, by days since 1970.
Days = defaultdict[int, set[str]]


class Reading(NamedTuple):
    """An open or a click of an e-mail."""

    kind: str
    sent_ms: int
    at_ms: int
    agent: str
    touched: str


class MessageLedger:
    """Counts facts; each message to an endpoint once in each figure, opens, clicks and opt-outs also as often as they were."""

    def __init__(self) -> None:
        self._known: defaultdict[Cause, defaultdict[str, set[Key]]] = defaultdict(lambda: defaultdict(set))
        self._often: defaultdict[Cause, Counter[str]] = defaultdict(Counter)
        self._readings: defaultdict[tuple[str, str, str, str], list[Reading]] = defaultdict(list)
        self._delivered: dict[Key, int] = {}
        self._texts: defaultdict[Cause, dict[Key, tuple[int, float]]] = defaultdict(dict)
        # When each message of a campaign was sent.
        self._campaigns: defaultdict[Cause, dict[Key, int]] = defaultdict(dict)

    def add(self, fact: Fact, endpoint_id: str, event_ms: int, arrival_ms: int) -> None:
        """Count a record that landed."""
        what, message = (fact.channel, fact.cause), (endpoint_id, fact.message)
        known = self._known[what]
        for figure in MEANINGS.get((fact.channel, fact.kind), ()):
            known[figure].add(message)
            if figure in ("opened", "clicked", "opted_out"):
                self._often[what][figure] += 1
            if figure == "sent" and fact.is_of_campaign:
                sent = self._campaigns[what]
                sent[message] = min(event_ms, sent.get(message, event_ms))
        if fact.channel == "SMS":
            # Told several times, a price or parts count once.
            parts, price = self._texts[what].get(message, (0, 0.0))
            self._texts[what][message] = max(parts, fact.parts), max(price, fact.price)
        if fact.channel != "EMAIL":
            return
        if fact.kind == "delivered":
            self._delivered[message] = min(arrival_ms, self._delivered.get(message, arrival_ms))
        if fact.kind in ("open", "click"):
            self._readings[(*what, *message)].append(Reading(fact.kind, event_ms, arrival_ms, fact.agent, fact.touched))

    def report(self) -> dict[str, dict[str, dict[str, float]]]:
        """Figures by channel and cause."""
        known = {what: {figure: set(messages) for figure, messages in figures.items()} for what, figures in self._known.items()}
        often = {what: Counter(counts) for what, counts in self._often.items()}
        for (channel, cause, *message), readings in self._readings.items():
            what, key = (channel, cause), (message[0], message[1])
            for reading in readings:
                is_machine = _is_machine(reading, self._delivered.get(key), readings)
                figure = ("machine_" if is_machine else "") + ("opened" if reading.kind == "open" else "clicked")
                known[what].setdefault(figure, set()).add(key)
                often.setdefault(what, Counter())[figure] += 1
        found: defaultdict[str, dict[str, dict[str, float]]] = defaultdict(dict)
        for channel, cause in sorted(known):
            what = (channel, cause)
            figures = count_figures(known[what], often.get(what, {}))
            if channel == "SMS":
                texts, delivered = self._texts[what], known[what].get("delivered", set())
                parts, price = [sum(column) for column in zip(*texts.values(), strict=True)]
                arrived = sum(texts[message][0] for message in delivered)
                figures |= dict(zip(TEXT_FIGURES, (parts, arrived, price), strict=True))
            found[channel][cause or "transactional"] = figures
        return dict(found)

    def find_reached(self, day_of: Callable[[int], int]) -> tuple[Days, Days]:
        """By the day of sending: the endpoints to which a campaign's message was delivered (unless it bounced hard), and those that opted out of it."""
        reached: Days = defaultdict(set)
        opted_out: Days = defaultdict(set)
        for what, sent in self._campaigns.items():
            sets = refine(self._known[what])
            for message, sent_ms in sent.items():
                if message in sets["unless_hardbounced"]:
                    reached[day_of(sent_ms)].add(message[0])
                    if message in sets["opted_out"]:
                        opted_out[day_of(sent_ms)].add(message[0])
        return reached, opted_out


def _is_machine(reading: Reading, delivered_ms: int | None, readings: list[Reading]) -> bool:
    if reading.agent == FETCHES_AHEAD or any(name in reading.agent for name in MACHINE_AGENTS):
        return True
    if delivered_ms is not None and reading.at_ms < delivered_ms:
        return True
    if reading.at_ms - reading.sent_ms <= MACHINE_MS:
        return True
    return any(
        other.kind == reading.kind and abs(other.at_ms - reading.at_ms) <= BURST_MS and other.touched != reading.touched
        for other in readings
    )
