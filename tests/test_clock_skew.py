"""Clocks that are wrong: whose times are corrected, by how much, at which border, and what stays as it was sent."""

import datetime as dt
from typing import Any

import duckdb
import pytest

from agents.enrich import Enricher, EnrichRules, enrich_batch
from agents.event_steps import count_off_time
from tests.parsed_rows import AT, parsed_table

MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)
MS = dt.timedelta(milliseconds=1)
# A column takes these: the first and the last millisecond of 1900 to 9999.
FIRST, LAST = dt.datetime(1900, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=dt.UTC)
TIMES = ("event_timestamp", "session_start_timestamp", "session_stop_timestamp", "event_timestamp_as_sent")


def enrich(*rows: dict[str, Any], **rules: Any) -> list[dict[str, Any]]:
    with duckdb.connect() as con:
        return enrich_batch(con, parsed_table(*rows), EnrichRules(**rules)).to_pylist()  # type: ignore[no-any-return]


def sent(behind: dt.timedelta, **given: Any) -> dict[str, Any]:
    """An event whose sender's clock is so far behind."""
    return {"sent_at": AT, "received_at": AT + behind, **given}


def times(row: dict[str, Any]) -> list[dt.datetime | None]:
    return [row[name] for name in TIMES]


@pytest.mark.parametrize("sign", [1, -1], ids=["behind", "ahead"])
@pytest.mark.parametrize(
    ("size", "is_corrected"),
    [
        pytest.param(MINUTE - MS, False, id="within"),
        pytest.param(MINUTE, False, id="exactly"),
        pytest.param(MINUTE + MS, True, id="beyond"),
    ],
)
def test_a_clock_that_is_off_by_more_than_a_minute_is_corrected(size: dt.timedelta, is_corrected: bool, sign: int) -> None:
    (row,) = enrich(sent(sign * size, session_start_timestamp=AT - HOUR, session_stop_timestamp=AT + HOUR))
    shift = sign * size if is_corrected else dt.timedelta(0)
    assert times(row) == [AT + shift, AT - HOUR + shift, AT + HOUR + shift, AT if is_corrected else None]
    assert (row["sent_at"], row["received_at"]) == (AT, AT + sign * size)


def test_the_border_is_a_setting() -> None:
    rows = [sent(2 * HOUR), sent(2 * HOUR + MS)]
    assert [row["event_timestamp_as_sent"] for row in enrich(*rows, clock_skew_secs_min=7200)] == [None, AT]
    assert [row["event_timestamp_as_sent"] for row in enrich(sent(0 * MS), sent(MS), clock_skew_secs_min=0)] == [None, AT]


def test_times_that_were_not_sent_stay_null() -> None:
    (row,) = enrich(sent(HOUR))
    assert times(row) == [AT + HOUR, None, None, AT]


@pytest.mark.parametrize("known", [{"sent_at": AT}, {"received_at": AT}, {}])
def test_without_both_clocks_nothing_is_corrected_beside_one_that_is(known: dict[str, Any]) -> None:
    alone, among = enrich(known), enrich(known, sent(HOUR))
    assert times(alone[0]) == times(among[0]) == [AT, None, None, None]
    assert times(among[1]) == [AT + HOUR, None, None, AT]


@pytest.mark.parametrize(
    ("source", "is_corrected"),
    [
        ("import:shop.ndjson", False),
        ("import:", False),
        ("import", True),
        ("Import:x", True),
        ("reimport:x", True),
        ("api", True),
        (None, True),
    ],
)
def test_imports_are_left_alone_and_nobody_else(source: str | None, is_corrected: bool) -> None:
    (row,) = enrich(sent(HOUR, source=source))
    assert row["event_timestamp_as_sent"] == (AT if is_corrected else None)
    assert row["event_timestamp"] == (AT + HOUR if is_corrected else AT)


@pytest.mark.parametrize(
    ("name", "at", "behind", "is_corrected"),
    [
        ("event_timestamp", LAST - HOUR, HOUR, True),
        ("event_timestamp", LAST - HOUR + MS, HOUR, False),
        ("event_timestamp", FIRST + HOUR, -HOUR, True),
        ("event_timestamp", FIRST + HOUR - MS, -HOUR, False),
        ("session_start_timestamp", LAST - HOUR + MS, HOUR, False),
        ("session_stop_timestamp", FIRST + HOUR - MS, -HOUR, False),
    ],
)
def test_an_event_is_left_alone_when_one_of_its_times_would_leave_the_years_of_a_column(
    name: str, at: dt.datetime, behind: dt.timedelta, is_corrected: bool
) -> None:
    far, near = enrich(sent(behind, **{name: at}), sent(behind))
    shift = behind if is_corrected else dt.timedelta(0)
    assert far[name] == at + shift
    assert (far["event_timestamp_as_sent"] is not None) == is_corrected
    assert near["event_timestamp_as_sent"] == AT


def test_the_widest_gap_that_two_clocks_can_have_is_no_overflow() -> None:
    (row,) = enrich({"sent_at": FIRST, "received_at": LAST, "event_timestamp": FIRST})
    assert times(row) == [LAST, None, None, FIRST]
    (row,) = enrich({"sent_at": FIRST, "received_at": LAST, "event_timestamp": LAST})
    assert times(row) == [LAST, None, None, None]


def test_each_row_has_the_correction_of_its_own_clock_in_a_large_batch_and_a_slice() -> None:
    gaps = [[None, MS, HOUR, -2 * HOUR, 61 * dt.timedelta(seconds=1)][place % 5] for place in range(5003)]
    rows = [{"event_id": f"e{place}"} | (sent(gap) if gap is not None else {}) for place, gap in enumerate(gaps)]
    expected = [AT + gap if gap is not None and abs(gap) > MINUTE else AT for gap in gaps]
    assert [row["event_timestamp"] for row in enrich(*rows)] == expected
    with duckdb.connect() as con:
        found = Enricher(con, EnrichRules()).enrich(parsed_table(*rows).slice(7, 50))
    assert found["event_timestamp"].to_pylist() == expected[7:57]


def test_switched_off_nothing_is_corrected() -> None:
    (row,) = enrich(sent(HOUR), enabled=frozenset())
    assert times(row) == [AT, None, None, None]


def test_late_and_future_events_are_counted_by_the_corrected_time() -> None:
    rows = [sent(-HOUR, event_timestamp=AT + HOUR), sent(25 * HOUR, event_timestamp=AT - 25 * HOUR), {"event_timestamp": AT - 25 * HOUR}]

    def count(**rules: Any) -> tuple[int, int]:
        with duckdb.connect() as con:
            return count_off_time(enrich_batch(con, parsed_table(*rows), EnrichRules(**rules)), 24 * 3600, 300)

    assert count() == (1, 0)
    assert count(enabled=frozenset()) == (2, 1), "control: without the correction they are late and from the future"
