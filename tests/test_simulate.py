"""The simulator's records: what they are, that they are the same each time, and in which order they come."""

import hashlib
import itertools
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro.validation
import pytest

from pipeline.producer import record_key
from pipeline.simulate.plan import DAY, HOUR, Plan, build_plan
from pipeline.simulate.records import LANDED, Message
from pipeline.simulate.sends import find_runs
from pipeline.simulate.timeline import Timeline, simulate_live
from schemas.errors import UsageError
from tests.simulated import CLEAN, DIRTY, START, messages_of

SCHEMAS = Path(__file__).parents[1] / "schemas"
STREAM_RECORD = fastavro.parse_schema(json.loads((SCHEMAS / "stream_record.avsc").read_text()))
EXAMPLES = sorted((SCHEMAS / "examples").glob("*.json"))
FAMILIES = ["_session.", "_userauth.", "_monetization.", "_campaign.", "_inapp.", "_journey.", "_email.", "_SMS.", "screen.", "cart."]


def parse_exactly(value: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    found = json.loads(value, object_pairs_hook=unique, parse_constant=pytest.fail)
    assert isinstance(found, dict)
    return found


def fits_schema(record: dict[str, Any]) -> bool:
    facets = {"facets": json.dumps(record["facets"])} if "facets" in record else {}
    return bool(fastavro.validation.validate(record | facets, STREAM_RECORD, strict=True, raise_errors=True))


def test_the_same_plan_gives_the_same_bytes_on_every_machine() -> None:
    digest = hashlib.sha256()
    for message in messages_of(Plan(users=200, days=4, start=START, seed=7, dirty=0.05)):
        digest.update(message.key + b"\0" + message.value + b"\n")
    # Changes only with the records themselves; then CHANGELOG says so.
    assert digest.hexdigest() == "d276ee182aef17d5a00cbf0b5369e65edbcea9a112a76b66b052131668d4135d"


@pytest.mark.parametrize("change", [{"seed": 8}, {"users": 201}, {"start": START + timedelta(days=1)}, {"app": "other"}, {"dirty": 0.1}])
def test_another_plan_gives_other_bytes(change: dict[str, Any]) -> None:
    plan = Plan(users=200, days=2, start=START, seed=7)
    other = Plan(**{**plan.__dict__, **change})
    assert [message.value for message in messages_of(plan)] != [message.value for message in messages_of(other)]


def test_clean_record_is_exact_json_that_fits_the_stream_records_schema() -> None:
    seen: Counter[str] = Counter()
    for message in messages_of(CLEAN):
        record = parse_exactly(message.value)
        assert json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() == message.value
        seen[message.event_type] += 1
        # Checking a record against the schema takes half a millisecond; a hundred of each type show all shapes.
        assert seen[message.event_type] > 100 or fits_schema(record)


def test_what_a_message_says_of_itself_is_what_its_record_holds() -> None:
    for message in messages_of(DIRTY):
        if message.outcome != LANDED:
            continue
        record = parse_exactly(message.value)
        attributes, metrics = record["attributes"], record.get("metrics", {})
        assert message.event_type == record["event_type"]
        assert message.endpoint_id == record["client"]["client_id"]
        assert message.event_ms == record["event_timestamp"]
        assert message.arrival_ms == message.sent_ms == record["arrival_timestamp"]
        assert message.session_id == record["session"].get("session_id")
        assert message.behind_ms == record["headwater"].get("received_at", 0) - record["headwater"].get("sent_at", 0)
        endpoint = json.loads(record.get("client_context", {}).get("custom", {}).get("endpoint", "{}"))
        assert message.user_id == endpoint.get("User", {}).get("UserId")
        assert message.key == record_key(record["application"]["app_id"], message.endpoint_id, "")
        assert record["headwater"]["source"] == "simulate"
        bought = (round(metrics.get("_item_price", 0) * 100), int(metrics.get("_quantity", 0)))
        assert (message.purchase or (0, 0)) == bought
        assert bool(message.purchase) == (message.event_type == "_monetization.purchase")
        assert message.is_bot == (message.event_type == "page.view")
        assert all(isinstance(value, str) for name, value in attributes.items() if name != "is_beta")


@pytest.mark.parametrize("plan", [CLEAN, DIRTY], ids=["clean", "dirty"])
def test_messages_come_in_the_order_of_sending_and_within_the_days(plan: Plan) -> None:
    times = [message.sent_ms for message in messages_of(plan)]
    assert times == sorted(times)
    assert plan.start_ms <= times[0]
    assert times[-1] < plan.end_ms


def test_every_family_of_events_occurs_and_sessions_end_missing_or_doubled() -> None:
    types = Counter(message.event_type for message in messages_of(CLEAN))
    assert [family for family in FAMILIES if not any(event_type.startswith(family) for event_type in types)] == []
    stops = Counter(message.session_id for message in messages_of(CLEAN) if message.event_type == "_session.stop")
    starts = {message.session_id for message in messages_of(CLEAN) if message.event_type == "_session.start"} - {None}
    assert set(stops.values()) == {1, 2}
    assert starts - stops.keys()


def test_records_are_of_a_size_and_share_no_event_id() -> None:
    messages = messages_of(CLEAN)
    assert 600 < sum(len(message.value) for message in messages) / len(messages) < 1000
    assert len({parse_exactly(message.value)["event_id"] for message in messages}) == len(messages)


def test_nobody_is_in_two_sessions_at_a_time() -> None:
    spans: dict[str, list[int]] = {}
    for message in messages_of(CLEAN):
        if message.session_id and not message.event_type.startswith(("_campaign.", "_journey.")):
            spans.setdefault(message.endpoint_id + message.session_id, []).append(message.event_ms)
    by_endpoint: dict[str, list[tuple[int, int]]] = {}
    for name, times in spans.items():
        by_endpoint.setdefault(name[:36], []).append((min(times), max(times)))
    for found in by_endpoint.values():
        found.sort()
        assert all(first[1] < second[0] for first, second in itertools.pairwise(found))


def test_a_run_of_a_campaign_sends_to_nobody_twice() -> None:
    sends = [parse_exactly(message.value) for message in messages_of(CLEAN) if message.event_type == "_campaign.send"]
    decided = Counter((send["attributes"]["campaign_activity_id"], send["client"]["client_id"]) for send in sends)
    assert decided
    assert set(decided.values()) == {1}
    assert {send["attributes"]["campaign_send_status"] for send in sends} >= {"SUCCESS", "HOLDOUT"}


def test_email_events_bear_the_time_of_sending() -> None:
    sent: dict[str, set[int]] = {}
    for message in messages_of(CLEAN):
        if message.event_type.startswith("_email."):
            mail = parse_exactly(message.value)["facets"]["email_channel"]["mail_event"]["mail"]
            sent.setdefault(mail["message_id"], set()).add(message.event_ms)
            assert mail["message_send_timestamp"] == message.event_ms <= message.arrival_ms
    assert sent
    assert all(len(times) == 1 for times in sent.values())


def test_campaigns_run_on_their_weekdays() -> None:
    start = Plan(start=date(2026, 10, 5)).start_ms
    runs = list(find_runs(start, start + 7 * DAY))
    assert all(datetime.fromtimestamp(at // 1000, UTC).weekday() in campaign.weekdays for campaign, at in runs)
    assert len(runs) == 5


def test_small_slots_and_large_ones_bring_as_many_people() -> None:
    plan = Plan(users=2000, days=2, start=START, seed=3, dirty=0.0)
    counts = []
    for slot_ms in (HOUR, HOUR // 12):
        timeline = Timeline(plan, plan.start_ms, plan.end_ms, slot_ms)
        slots = range((plan.end_ms - plan.start_ms) // slot_ms)
        counts.append(sum(len(timeline.fill_slot(slot, 600 * slot_ms / DAY)) for slot in slots))
    assert counts[0] == pytest.approx(counts[1], rel=0.15)


def test_live_shop_sends_at_the_rate_with_the_times_of_now() -> None:
    plan = Plan(users=20_000, seed=2, dirty=0.0)
    now = 1_790_000_000_000
    slots = simulate_live(plan, 400, now)
    messages: list[Message] = []
    for slot in range(240):
        found = next(slots)
        assert all(0 <= message.sent_ms - now - 250 * slot < 250 for message in found)
        messages += found
    assert len(messages) == pytest.approx(400 * 60, rel=0.2)
    recent = [message for message in messages if not message.event_type.startswith("_email.")]
    assert all(message.sent_ms - message.event_ms < 10_000 for message in recent)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_a_stream_record_of_the_type_that_its_file_is_named_after(path: Path) -> None:
    record = parse_exactly(path.read_bytes())
    assert record["event_type"] == path.stem
    assert fits_schema(record)


def test_every_family_has_an_example() -> None:
    names = [path.stem for path in EXAMPLES]
    assert [family for family in FAMILIES if not any(name.startswith(family) for name in [*names, "screen."])] == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("users", 0),
        ("users", -5),
        ("days", 0),
        ("days", 40_000),
        ("dirty", -0.1),
        ("dirty", 0.9),
        ("start", "yesterday"),
        ("app", "a/b"),
        ("app", ""),
    ],
)
def test_wrong_option_is_named_with_its_value_and_an_example(option: str, value: Any) -> None:
    options: dict[str, Any] = {"users": 10, "days": 1, "start": "", "seed": 1, "app": "shop", "dirty": 0.0}
    with pytest.raises(UsageError, match=f"Option '--{option}' is '?{value}.*expected"):
        build_plan(**(options | {option: value}), is_live=False, today=date(2026, 11, 24))


def test_days_end_with_yesterday_unless_a_start_is_given() -> None:
    plan = build_plan(10, 30, "", 1, "shop", 0.0, False, date(2026, 11, 24))
    assert (plan.start, plan.end_ms) == (date(2026, 10, 25), int(datetime(2026, 11, 24, tzinfo=UTC).timestamp() * 1000))
    assert build_plan(10, 30, "2026-01-05", 1, "shop", 0.0, False, date(2026, 11, 24)).start == date(2026, 1, 5)
