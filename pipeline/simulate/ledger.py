"""The true answers: what was sent, what should become of it, and what SQL should say of it, counted while sending.

The definitions are those of queries/README.md, in plain Python; nothing here is shared with the pipeline that is held to it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.simulate.local_days import LocalDays, first_of_month, first_of_week, name_day
from pipeline.simulate.message_ledger import Days, MessageLedger
from pipeline.simulate.plan import DAY, MINUTE, Plan
from pipeline.simulate.records import DUPLICATE, LANDED, Message

SESSION_GAP = 30 * MINUTE
# A clock that is off by more is corrected: the default of setting CLOCK_SKEW_SECS_MIN.
CLOCK_MS_MIN = MINUTE
PASSIVE = ("_email.", "_sms.", "_campaign.", "_journey.")


class Ledger:
    """Counts messages as they are sent, by days of `zone`; `report` gives all figures."""

    def __init__(self, plan: Plan, zone: str = "UTC") -> None:
        self._plan, self._zone = plan, zone
        self._day_of = LocalDays(zone).find
        self._outcomes: Counter[str] = Counter()
        self._bytes = 0
        self._types: Counter[str] = Counter()
        self._events: Counter[int] = Counter()
        self._endpoints: set[str] = set()
        self._active: Days = defaultdict(set)
        self._users: Days = defaultdict(set)
        self._active_users: Days = defaultdict(set)
        self._buyers: Days = defaultdict(set)
        # Users, and endpoints of purchases that name none.
        self._payers: Days = defaultdict(set)
        self._started: dict[tuple[str, str], int] = {}
        self._times: defaultdict[str, list[int]] = defaultdict(list)
        self._with_sessions: set[str] = set()
        self._purchases: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        self._delayed = 0
        self._bot_events = 0
        self._is_activity: dict[str, bool] = {}
        self._messages = MessageLedger()

    def add(self, messages: list[Message]) -> None:
        """Count messages that were sent."""
        self._outcomes.update([message.outcome for message in messages])
        self._bytes += sum([len(message.value) for message in messages])
        landed = [message for message in messages if message.outcome == LANDED]
        self._types.update([message.event_type for message in landed])
        for message in landed:
            self._add_landed(message)

    def _add_landed(self, message: Message) -> None:
        _, _, _, _, event_type, endpoint_id, event_ms, arrival_ms, user_id, session_id, purchase, is_bot, behind_ms, fact = message
        if abs(behind_ms) > CLOCK_MS_MIN:
            event_ms += behind_ms
        day = self._day_of(event_ms)
        self._events[day] += 1
        self._endpoints.add(endpoint_id)
        is_activity = self._is_activity.get(event_type)
        if is_activity is None:
            is_activity = self._is_activity[event_type] = not event_type.lower().startswith(PASSIVE)
        if is_activity:
            self._active[day].add(endpoint_id)
            if session_id is None:
                self._times[endpoint_id].append(event_ms)
            else:
                self._with_sessions.add(endpoint_id)
                started = self._started.get((endpoint_id, session_id))
                if started is None or event_ms < started:
                    self._started[endpoint_id, session_id] = event_ms
        if user_id is not None:
            self._users[day].add(user_id)
            if is_activity:
                self._active_users[day].add(user_id)
        if purchase is not None:
            cents, quantity = purchase
            bought = self._purchases[day]
            bought[0] += 1
            bought[1] += quantity
            bought[2] += cents * quantity
            self._buyers[day].add(endpoint_id)
            self._payers[day].add(f"endpoint {endpoint_id}" if user_id is None else f"user {user_id}")
        if arrival_ms - event_ms > DAY and not event_type.startswith("_email."):
            self._delayed += 1
        self._bot_events += is_bot
        if fact is not None:
            self._messages.add(fact, endpoint_id, event_ms, arrival_ms)

    def report(self) -> dict[str, Any]:
        """All figures, by the keys that ledger_keys.py explains."""
        opened_by_gap = [at for times in self._times.values() for at in _open_sessions(times)]
        # An endpoint that sends session ids only now and then would need rule 2 of queries/README.md; nobody here does.
        assert not self._with_sessions & self._times.keys()
        sessions = Counter(self._day_of(at) for at in (*self._started.values(), *opened_by_gap))
        purchases = [sum(column) for column in zip(*self._purchases.values(), strict=True)] or [0, 0, 0]
        dead = {reason: count for reason, count in sorted(self._outcomes.items()) if reason not in (LANDED, DUPLICATE)}
        plan = self._plan
        reached, opted_out = self._messages.find_reached(self._day_of)
        subjects: dict[str, Days] = {
            "active_endpoints": self._active,
            "active_users": self._active_users,
            "buyers": self._buyers,
            "paying_users": self._payers,
            "reached_endpoints": reached,
            "opted_out_endpoints": opted_out,
        }
        return {
            "app": plan.app,
            "seed": plan.seed,
            "users": plan.users,
            "dirty": plan.dirty,
            "zone": self._zone,
            "sent": self._outcomes.total(),
            "bytes": self._bytes,
            "landed": self._outcomes[LANDED],
            "duplicates": self._outcomes[DUPLICATE],
            "dead_letters": dead,
            "event_types": dict(sorted(self._types.items())),
            "endpoints": len(self._endpoints),
            "active_endpoints": len(set().union(*self._active.values())),
            "named_users": len(set().union(*self._users.values())),
            "buyers": len(set().union(*self._buyers.values())),
            "sessions": sessions.total(),
            "sessions_by_gap": len(opened_by_gap),
            "purchases": purchases[0],
            "units": purchases[1],
            "revenue": purchases[2] / 100,
            "delayed_events": self._delayed,
            "bot_events": self._bot_events,
            "messages": self._messages.report(),
            "dates": {
                name_day(day): {
                    "events": count,
                    "named_users": len(self._users.get(day, ())),
                    "sessions": sessions[day],
                    "purchases": self._purchases[day][0],
                    "units": self._purchases[day][1],
                    "revenue": self._purchases[day][2] / 100,
                    **{name: len(who.get(day, ())) for name, who in subjects.items()},
                }
                for day, count in sorted(self._events.items())
            },
            "weeks": _count_by(first_of_week, self._events, subjects),
            "months": _count_by(first_of_month, self._events, subjects),
        }


def _count_by(first_day: Callable[[int], int], days: Iterable[int], subjects: Mapping[str, Days]) -> dict[str, dict[str, int]]:
    """How many of each there are in the periods of `days`, by the first day: who comes on several days counts once."""
    periods: defaultdict[int, list[int]] = defaultdict(list)
    for day in sorted(days):
        periods[first_day(day)].append(day)
    return {
        name_day(first): {name: len(set().union(*(who.get(day, ()) for day in inside))) for name, who in subjects.items()}
        for first, inside in periods.items()
    }


def _open_sessions(times: list[int]) -> list[int]:
    """When each session starts: the first event, and each one more than the gap after the one before it."""
    times.sort()
    return [at for at, before in zip(times, [-(1 << 62), *times], strict=False) if at - before > SESSION_GAP]
