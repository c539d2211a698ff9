"""The dirty share: what is announced of each message is what an independent look, and the pipeline's own steps, say of it."""

import json
from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from agents.validate import ValidateRules, validate_batch
from pipeline.simulate.dirt import Dirt
from pipeline.simulate.malformed import KINDS, RARE_EVERY, RARE_KINDS, spoil_value
from pipeline.simulate.plan import DAY, seeded
from pipeline.simulate.records import DUPLICATE, LANDED, Message
from schemas.records import RECORDS, Reason
from tests.simulated import CLEAN, DIRTY, messages_of


def judge(values: list[bytes]) -> list[str | None]:
    """The reason for which `validate` refuses each value; None where it lands."""
    count = len(values)
    columns = {
        "value": values,
        "value_bytes": [len(value) for value in values],
        "key": [b"k"] * count,
        "origin": [None] * count,
        "_topic_id": ["t"] * count,
        "_partition": [0] * count,
        "_offset": list(range(count)),
        "_appended_at": [datetime(2026, 11, 1, tzinfo=UTC)] * count,
        "_payload_hash": [0] * count,
    }
    dead = validate_batch(pa.table(columns, schema=RECORDS), ValidateRules(message_bytes_max=1_000_000)).dead
    reasons = dict(zip(dead["_offset"].to_pylist(), dead["reason"].to_pylist(), strict=True))
    return [reasons.get(offset) for offset in range(count)]


def parsed(message: Message) -> tuple[object, ...]:
    record = json.loads(message.value)
    return (
        record["application"]["app_id"],
        record["client"]["client_id"],
        record["event_id"],
        record["event_type"],
        record["event_timestamp"],
    )


@pytest.mark.parametrize("number", range(len(KINDS)), ids=[f"{reason}-{number}" for number, (reason, _) in enumerate(KINDS)])
def test_each_kind_of_malformed_message_has_the_reason_that_validate_gives(number: int) -> None:
    for event_type in ("_session.start", "_email.click", "_SMS.SUCCESS", "page.view"):
        good = next(message.value for message in messages_of(DIRTY) if message.event_type == event_type and message.outcome == LANDED)
        reason, value = spoil_value(number, good)
        assert judge([good, value, good]) == [None, reason.value, None]


@pytest.mark.parametrize("number", range(len(RARE_KINDS)))
def test_costly_kinds_come_seldom_and_have_their_reason_too(number: int) -> None:
    reason, value = spoil_value(RARE_EVERY - 1 + number * RARE_EVERY, messages_of(CLEAN)[0].value)
    assert (reason, judge([value])) == (RARE_KINDS[number][0], [reason.value])


def test_malformed_kinds_cover_every_reason_but_the_duplicate_and_those_of_avro() -> None:
    assert {reason for reason, _ in KINDS + RARE_KINDS} == set(Reason) - {Reason.DUPLICATE, Reason.NOT_AVRO, Reason.UNKNOWN_SCHEMA}


def test_malformed_message_fits_on_one_line() -> None:
    assert all(b"\n" not in message.value for message in messages_of(DIRTY))


def test_whole_dirty_run_is_judged_as_announced() -> None:
    messages = messages_of(DIRTY)[:40_000]
    expected = [None if message.outcome in (LANDED, DUPLICATE) else message.outcome for message in messages]
    assert judge([message.value for message in messages]) == expected
    assert len({reason for reason in expected if reason}) >= 10


def test_duplicates_are_exactly_the_records_whose_five_part_key_came_before() -> None:
    seen: set[tuple[object, ...]] = set()
    for message in messages_of(DIRTY):
        if message.outcome in (LANDED, DUPLICATE):
            key = parsed(message)
            assert (message.outcome == DUPLICATE) == (key in seen)
            seen.add(key)


def test_a_reused_event_id_lands_with_other_content() -> None:
    ids = Counter(json.loads(message.value)["event_id"] for message in messages_of(DIRTY) if message.outcome == LANDED)
    assert max(ids.values()) > 1


def test_some_arrive_days_late_some_come_from_the_future_and_some_copies_have_another_arrival() -> None:
    landed = [message for message in messages_of(DIRTY) if message.outcome == LANDED]
    assert any(message.arrival_ms - message.event_ms > 2 * DAY and not message.event_type.startswith("_email.") for message in landed)
    assert any(message.event_ms - message.arrival_ms > 30 * DAY for message in landed)
    assert any(message.arrival_ms - message.event_ms > 1000 * 3600 for message in landed)
    firsts = {parsed(message): message.value for message in landed}
    copies = [message for message in messages_of(DIRTY) if message.outcome == DUPLICATE]
    assert {firsts[parsed(message)] == message.value for message in copies} == {True, False}


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_about_the_share_asked_for_is_touched(share: float) -> None:
    clean = list(messages_of(CLEAN)[:20_000])
    spoiled = Dirt(share, CLEAN.end_ms).spoil(seeded(1), list(clean))
    changed = sum(before is not after for before, after in zip(clean, spoiled, strict=False)) + len(spoiled) - len(clean)
    assert changed == pytest.approx(share * len(clean), rel=0.15)


def test_without_dirt_everything_lands_once() -> None:
    assert {message.outcome for message in messages_of(CLEAN)} == {LANDED}
    assert not any(message.is_bot for message in messages_of(CLEAN))
