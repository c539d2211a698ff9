"""The ledger counts by the definitions of queries/README.md."""

import itertools
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline import simulate
from pipeline.simulate.compare import COMPARED
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.ledger_keys import LEDGER_KEYS
from pipeline.simulate.plan import DAY, MINUTE, Plan
from pipeline.simulate.records import DUPLICATE, LANDED, Message
from pipeline.simulate.timeline import Timeline, simulate_live
from tests.simulated import DIRTY, messages_of

PLAN = Plan(users=10, days=2, start=date(2026, 10, 1))
NOON = PLAN.start_ms + DAY // 2
LIVE = Plan(users=3000, seed=2, dirty=0.3, is_live=True)


def event(
    at_ms: int,
    endpoint: str = "phone",
    event_type: str = "screen.view",
    session: str | None = None,
    outcome: str = LANDED,
    user: str | None = None,
    purchase: tuple[int, int] | None = None,
) -> Message:
    return Message(at_ms, b"shop/" + endpoint.encode(), b"{}", outcome, event_type, endpoint, at_ms, at_ms, user, session, purchase)


def report(*messages: Message) -> dict[str, Any]:
    ledger = Ledger(PLAN)
    ledger.add(list(messages))
    return ledger.report()


@pytest.mark.parametrize(
    ("gap", "sessions"),
    [
        pytest.param(30 * MINUTE - 1, 1, id="within"),
        pytest.param(30 * MINUTE, 1, id="exactly"),
        pytest.param(30 * MINUTE + 1, 2, id="beyond"),
    ],
)
def test_silence_of_more_than_half_an_hour_opens_a_new_session(gap: int, sessions: int) -> None:
    found = report(event(NOON), event(NOON + gap))
    assert (found["sessions"], found["sessions_by_gap"]) == (sessions, sessions)


def test_order_of_arrival_does_not_matter_for_sessions() -> None:
    assert report(event(NOON + 50 * MINUTE), event(NOON), event(NOON + 25 * MINUTE))["sessions"] == 1


@pytest.mark.parametrize("behind_ms", [-400 * DAY, -MINUTE - 1, -MINUTE, MINUTE, MINUTE + 1, DAY])
def test_a_clock_that_is_more_than_a_minute_off_counts_as_corrected(behind_ms: int) -> None:
    corrected = behind_ms if abs(behind_ms) > MINUTE else 0
    found = report(event(NOON)._replace(behind_ms=behind_ms))
    assert found["dates"].keys() == report(event(NOON + corrected))["dates"].keys()


def test_a_clients_session_is_one_however_long_the_silence() -> None:
    found = report(event(NOON, session="a"), event(NOON + 300 * MINUTE, session="a"), event(NOON + 1, session="b"))
    assert (found["sessions"], found["sessions_by_gap"]) == (2, 0)


def test_a_session_counts_on_the_day_on_which_it_started() -> None:
    midnight = PLAN.start_ms + DAY
    found = report(event(midnight, session="a"), event(midnight - 1, session="a"))
    assert {day: figures["sessions"] for day, figures in found["dates"].items()} == {"2026-10-01": 1, "2026-10-02": 0}


# Midnight of New York is 04:00 UTC in summer and 05:00 in winter, from the second of November 2026 on; Kathmandu's is 18:15 UTC.
@pytest.mark.parametrize(
    ("zone", "midnight", "day_before", "day"),
    [
        ("UTC", datetime(2026, 10, 1), "2026-09-30", "2026-10-01"),
        ("America/New_York", datetime(2026, 10, 1, 4), "2026-09-30", "2026-10-01"),
        ("America/New_York", datetime(2026, 11, 1, 4), "2026-10-31", "2026-11-01"),
        ("America/New_York", datetime(2026, 11, 2, 5), "2026-11-01", "2026-11-02"),
        ("Asia/Kathmandu", datetime(2026, 10, 1, 18, 15), "2026-10-01", "2026-10-02"),
    ],
)
def test_days_begin_at_midnight_of_the_zone(zone: str, midnight: datetime, day_before: str, day: str) -> None:
    at_ms = int(midnight.replace(tzinfo=UTC).timestamp()) * 1000
    ledger = Ledger(PLAN, zone)
    ledger.add([event(at_ms - 1, session="a"), event(at_ms, session="a"), event(at_ms, session="b", user="u", purchase=(250, 2))])
    found = ledger.report()
    assert found["zone"] == zone
    nobody = {"buyers": 0, "paying_users": 0, "reached_endpoints": 0, "opted_out_endpoints": 0}
    bought = {"active_endpoints": 1, "active_users": 1, "buyers": 1, "paying_users": 1}
    assert found["dates"] == {
        day_before: nobody
        | {
            "events": 1,
            "named_users": 0,
            "sessions": 1,
            "purchases": 0,
            "units": 0,
            "revenue": 0.0,
            "active_endpoints": 1,
            "active_users": 0,
        },
        day: nobody | bought | {"events": 2, "named_users": 1, "sessions": 1, "purchases": 1, "units": 2, "revenue": 5.0},
    }


# The first of October 2026 is a Thursday.
def test_who_comes_on_several_days_counts_once_a_week_and_a_month() -> None:
    moments = [("phone", "ann", -1), ("phone", "ann", 0), ("tablet", "ann", 3), ("phone", None, 4)]
    found = report(*(event(NOON + days * DAY, name, user=user, purchase=(100, 1)) for name, user, days in moments))
    shown = {
        kind: {
            first: tuple(figures[name] for name in ("active_endpoints", "active_users", "buyers", "paying_users"))
            for first, figures in found[kind].items()
        }
        for kind in ("weeks", "months")
    }
    # Sunday the 4th is of the week of Monday the 28th; whoever has no name on the 5th is its phone.
    assert shown == {
        "weeks": {"2026-09-28": (2, 1, 2, 1), "2026-10-05": (1, 0, 1, 1)},
        "months": {"2026-09-01": (1, 1, 1, 1), "2026-10-01": (2, 1, 2, 2)},
    }


@pytest.mark.parametrize("event_type", ["_email.open", "_SMS.SUCCESS", "_campaign.send", "_journey.send"])
def test_what_happens_to_an_endpoint_makes_nobody_active(event_type: str) -> None:
    found = report(event(NOON, event_type=event_type))
    assert (found["landed"], found["endpoints"], found["active_endpoints"], found["sessions"]) == (1, 1, 0, 0)


def test_duplicates_and_dead_letters_are_sent_and_change_no_other_figure() -> None:
    good = event(NOON, session="a", user="u", purchase=(250, 2))
    others = [event(NOON + DAY, "other", outcome=outcome, user="v") for outcome in (DUPLICATE, "not_json", "not_json", "empty")]
    before, after = report(good), report(good, *others)
    assert after["dead_letters"] == {"empty": 1, "not_json": 2}
    assert (after["sent"], after["landed"], after["duplicates"]) == (5, 1, 1)
    same = set(LEDGER_KEYS) - {"sent", "bytes", "duplicates", "dead_letters"}
    assert {name: before[name] for name in same} == {name: after[name] for name in same}


def test_equal_purchases_stay_as_many_as_they_are_and_cents_add_up_exactly() -> None:
    bought = [event(NOON, session="a", event_type="_monetization.purchase", purchase=(10, 1))] * 3
    found = report(*bought)
    assert (found["purchases"], found["units"], found["revenue"], found["buyers"]) == (3, 3, 0.3, 1)


def test_report_has_the_documented_keys_and_nothing_else() -> None:
    assert list(report(event(NOON))) == list(LEDGER_KEYS)
    assert set(COMPARED) <= LEDGER_KEYS.keys()
    readme = (Path(simulate.__file__).parent / "README.md").read_text()
    assert [name for name, meaning in LEDGER_KEYS.items() if f"| `{name}` | {meaning} |" not in readme] == []


def test_ledger_of_nothing_is_all_zero() -> None:
    found = report()
    assert (found["sent"], found["sessions"], found["revenue"], found["dates"]) == (0, 0, 0.0, {})


def test_ledger_of_a_dirty_run_balances() -> None:
    ledger = Ledger(DIRTY)
    ledger.add(list(messages_of(DIRTY)))
    found = ledger.report()
    assert found["sent"] == found["landed"] + found["duplicates"] + sum(found["dead_letters"].values())
    for name, key in (("landed", "events"), ("sessions", "sessions"), ("purchases", "purchases")):
        assert found[name] == sum(figures[key] for figures in found["dates"].values())
    assert sum(found["event_types"].values()) == found["landed"]
    assert found["sessions_by_gap"] > 0
    assert found["bot_events"] > 0
    assert found["delayed_events"] > 0


def copies_without_a_first(messages: Iterable[Message]) -> tuple[int, int]:
    """How many messages are announced as duplicates, and of how many of them no first copy was sent before."""
    seen: set[tuple[str, ...]] = set()
    announced = alone = 0
    for message in messages:
        if message.outcome in (LANDED, DUPLICATE):
            record = json.loads(message.value)
            key = (message.endpoint_id, record["event_id"], record["event_type"], str(record["event_timestamp"]))
            assert message.outcome == DUPLICATE or key not in seen
            announced += message.outcome == DUPLICATE
            alone += message.outcome == DUPLICATE and key not in seen
            seen.add(key)
    return announced, alone


def test_ledger_of_a_live_run_counts_a_duplicate_only_where_the_same_run_sent_the_first() -> None:
    messages = list(itertools.chain.from_iterable(itertools.islice(simulate_live(LIVE, 200, NOON), 240)))
    found = report(*messages)
    announced, alone = copies_without_a_first(messages)
    assert found["duplicates"] == announced > 100
    assert alone == 0


def fill_and_open(sent_from_ms: int | None) -> tuple[list[Message], list[Message]]:
    """The messages of half an hour before noon, in which the shop fills, and those of half an hour after it."""
    timeline = Timeline(LIVE, NOON - 30 * MINUTE, NOON + DAY, MINUTE, sent_from_ms)
    slots = [timeline.fill_slot(slot, 50) for slot in range(60)]
    return list(itertools.chain(*slots[:30])), list(itertools.chain(*slots[30:]))


def test_what_is_made_to_fill_the_shop_is_neither_sent_nor_sent_again() -> None:
    before, after = fill_and_open(sent_from_ms=NOON)
    announced, alone = copies_without_a_first(after)
    assert (before, alone) == ([], 0)
    assert announced > 100


def test_leaving_messages_out_only_after_they_were_spoiled_leaves_copies_without_a_first() -> None:
    _, after = fill_and_open(sent_from_ms=None)
    announced, alone = copies_without_a_first(after)
    assert report(*after)["duplicates"] == announced > announced - alone
