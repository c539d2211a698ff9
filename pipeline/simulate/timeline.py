"""The shop's days: who comes when, and all messages in the order of sending, slot by slot, so that memory stays small."""

import dataclasses
import itertools
import random
from collections import defaultdict
from collections.abc import Iterator
from operator import itemgetter

from pipeline.simulate.dirt import Dirt
from pipeline.simulate.people import People
from pipeline.simulate.plan import DAY, HOUR, MINUTE, Plan, raised, seeded
from pipeline.simulate.records import Message
from pipeline.simulate.sends import answer_session, find_runs, send_campaign
from pipeline.simulate.sessions import crawl_shop, visit_shop
from pipeline.simulate.shop import CAMPAIGNS, Campaign

# Visits at each hour (UTC) and on each weekday, Monday first; both average 1.
HOURS = (0.5, 0.3, 0.3, 0.2, 0.3, 0.4, 0.6, 0.9, 1.1, 1.2, 1.2, 1.2, 1.3, 1.2, 1.2, 1.2, 1.3, 1.4, 1.6, 1.8, 1.8, 1.5, 0.9, 0.6)
WEEKDAYS = (0.95, 0.92, 0.95, 0.98, 1.05, 1.12, 1.03)
VISITS_A_DAY = 0.32
SLOTS = (HOUR, 15 * MINUTE, 5 * MINUTE, MINUTE)
VISITS_A_SLOT_MAX = 4000
# While live, campaigns never stop: one send for so many visits.
VISITS_A_SEND = 2
LIVE_SLOT = 250
# A visit is over after half an hour; before a live run begins, so many messages at most are made to fill the shop.
LIVE_HORIZON = 30 * MINUTE
LIVE_FILL_MAX = 150_000
# So many others are asked when the one who was to come is still there.
ASKED_MAX = 50


class Timeline:
    """Makes the messages of slots of `slot_ms`, one after the other, from `start_ms` on; none is sent from `end_ms` on.

    Those due before `sent_from_ms` (None: `start_ms`) are left out: people come, but nothing of them is sent, late or again.
    """

    def __init__(self, plan: Plan, start_ms: int, end_ms: int, slot_ms: int, sent_from_ms: int | None = None) -> None:
        self.plan = plan
        self.start_ms, self.end_ms, self.slot_ms = start_ms, end_ms, slot_ms
        self._sent_from_ms = start_ms if sent_from_ms is None else sent_from_ms
        self._people = People(plan)
        self._dirt = Dirt(plan.dirty, end_ms)
        self._waiting: defaultdict[int, list[Message]] = defaultdict(list)
        self._busy_until: dict[int, int] = {}
        self._runs = [] if plan.is_live else list(find_runs(start_ms, end_ms))
        self._joined = self._due(start_ms)

    def fill_slot(self, slot: int, visits: float) -> list[Message]:
        """The messages that are sent in slot `slot`, sorted; about `visits` visits to the shop begin in it."""
        at = self.start_ms + slot * self.slot_ms
        rng = seeded(self.plan.seed, 3, at)
        chance = rng.random
        fresh: list[Message] = []
        for _ in range(int(visits * self._joined / self.plan.users + chance())):
            number = int((chance() if chance() < 0.6 else raised(chance(), 3)) * self._joined)
            self._visit(rng, fresh, number, at + int(chance() * self.slot_ms), is_first=False)
        for number in range(self._joined, self._due(at + self.slot_ms)):
            self._visit(rng, fresh, number, at + int(chance() * self.slot_ms), is_first=True)
            self._joined = number + 1
        for _ in range(int(visits * self.plan.dirty / 2 + chance())):
            fresh += crawl_shop(rng, self.plan.app, at + int(chance() * self.slot_ms))
        for campaign, run_ms, number in self._find_sends(rng, at, visits):
            if number < self._joined:
                person = self._people.find(number)
                fresh += send_campaign(rng, self.plan, campaign, run_ms, person, at + int(chance() * self.slot_ms))
        # Left out before anything happens to them: a copy of a message that was never sent would repeat nothing.
        sent = [message for message in fresh if message.sent_ms >= self._sent_from_ms]
        return self._sort_in(slot, self._dirt.spoil(rng, sent))

    def _due(self, at_ms: int) -> int:
        """How many people have joined by `at_ms`; the last 30 % join one by one over the days."""
        if self.plan.is_live:
            return self.plan.users
        before = self.plan.users * 7 // 10
        joining = self.plan.users - before
        return before + joining * (min(at_ms, self.end_ms) - self.start_ms) // (self.end_ms - self.start_ms)

    def _visit(self, rng: random.Random, fresh: list[Message], number: int, at_ms: int, is_first: bool) -> None:
        # Nobody is in the shop twice at a time.
        asked = 0
        while self._busy_until.get(number, 0) > at_ms:
            number = (number + 1) % self._joined
            asked += 1
            if asked == ASKED_MAX:
                return
        person = self._people.find(number)
        session = visit_shop(rng, self.plan, person, at_ms, is_first)
        self._busy_until[number] = session.now + 1
        fresh += session.messages
        fresh += answer_session(rng, self.plan, person, {message.event_type for message in session.messages}, session.now)

    def _find_sends(self, rng: random.Random, at_ms: int, visits: float) -> Iterator[tuple[Campaign, int, int]]:
        """Campaign, beginning of its run, number of the person, for each send that falls into the slot from `at_ms`."""
        users = self.plan.users
        if self.plan.is_live:
            for _ in range(int(visits / VISITS_A_SEND + rng.random())):
                yield CAMPAIGNS[int(rng.random() * len(CAMPAIGNS))], at_ms // DAY * DAY, int(rng.random() * users)
            return
        for campaign, run_ms in self._runs:
            if run_ms - self.slot_ms < at_ms < run_ms + campaign.send_ms:
                total = users * campaign.percent // 100
                first, last = (
                    total * min(max(0, edge - run_ms), campaign.send_ms) // campaign.send_ms for edge in (at_ms, at_ms + self.slot_ms)
                )
                # A step that has no factor in common with the number of people goes through all of them before any comes again.
                step = 7919 if users % 7919 else 7907
                for place in range(first, last):
                    yield campaign, run_ms, (place * step + run_ms // DAY * 101) % users

    def _sort_in(self, slot: int, messages: list[Message]) -> list[Message]:
        start_ms, slot_ms, end_ms, waiting = self.start_ms, self.slot_ms, self.end_ms, self._waiting
        for message in messages:
            sent_ms = message.sent_ms
            if sent_ms < end_ms:
                waiting[(sent_ms - start_ms) // slot_ms].append(message)
        due = waiting.pop(slot, [])
        due.sort(key=itemgetter(0))
        return due


def simulate_days(plan: Plan) -> Iterator[tuple[float, list[Message]]]:
    """The days of `plan`: for each slot the share of the time that is over, and the messages sent in it, in order."""
    slot_ms = next((slot for slot in SLOTS if plan.users * VISITS_A_DAY * slot / DAY <= VISITS_A_SLOT_MAX), SLOTS[-1])
    timeline = Timeline(plan, plan.start_ms, plan.end_ms, slot_ms)
    slots = (plan.end_ms - plan.start_ms) // slot_ms
    for slot in range(slots):
        at = plan.start_ms + slot * slot_ms
        visits = plan.users * VISITS_A_DAY * slot_ms / DAY * HOURS[at % DAY // HOUR] * WEEKDAYS[(at // DAY + 3) % 7]
        yield (slot + 1) / slots, timeline.fill_slot(slot, visits)


def simulate_live(plan: Plan, rate: float, now_ms: int) -> Iterator[list[Message]]:
    """The shop from `now_ms` on, without end, about `rate` messages a second: those of each quarter of a second, sorted.

    At high rates people are in a hurry (pauses within a session shrink), so that the shop can be filled before the first
    message: a session's length of messages is made and left out.
    """
    horizon_ms = int(min(LIVE_HORIZON, 1000 * LIVE_FILL_MAX / rate)) // LIVE_SLOT * LIVE_SLOT + LIVE_SLOT
    hasty = dataclasses.replace(plan, is_live=True, haste=min(1.0, horizon_ms / LIVE_HORIZON))
    visits = rate * LIVE_SLOT / 1000 / _measure_visit(hasty, horizon_ms)
    timeline = Timeline(hasty, now_ms - horizon_ms, now_ms + 36_500 * DAY, LIVE_SLOT, sent_from_ms=now_ms)
    for slot in itertools.count():
        messages = timeline.fill_slot(slot, visits)
        if slot >= horizon_ms // LIVE_SLOT:
            yield messages


def _measure_visit(plan: Plan, horizon_ms: int) -> float:
    """Messages that a visit causes within `horizon_ms`, sends and dirt included: the mean of a trial."""
    trial = Timeline(plan, 0, DAY, LIVE_SLOT)
    visits, slots = 5.0, 200
    total = 0
    for slot in range(slots + horizon_ms // LIVE_SLOT):
        total += len(trial.fill_slot(slot, visits if slot < slots else 0.0))
    return total / (visits * slots)
