"""The views count what queries/README.md says they count: a few rows each, the answers worked out by hand."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from pipeline.config import Settings, load_settings
from tests.check_lake import check_rows
from tests.lake_rows import Row, at, dead_letter, event, library, memory_lake, purchase


def ask(sql: str, events: Sequence[Row], settings: Settings | None = None) -> list[tuple[Any, ...]]:
    with memory_lake(settings or load_settings(), events) as con:
        return con.execute(sql).fetchall()


def sessions_of(events: Sequence[Row], settings: Settings | None = None) -> list[tuple[Any, ...]]:
    return ask("select session_id, event_count from core.sessions order by started_at, session_id", events, settings)


def derived(moment: datetime) -> str:
    return f"gap:{int(moment.timestamp() * 1000)}"


class TestSessions:
    def test_gap_of_exactly_thirty_minutes_stays_in_the_session(self) -> None:
        events = [event(event_timestamp=at(0)), event(event_timestamp=at(30))]
        assert sessions_of(events) == [(derived(at(0)), 2)]

    def test_gap_a_millisecond_beyond_opens_a_new_session(self) -> None:
        events = [event(event_timestamp=at(0)), event(event_timestamp=at(30, millis=1))]
        assert sessions_of(events) == [(derived(at(0)), 1), (derived(at(30, millis=1)), 1)]

    def test_gap_is_a_setting(self) -> None:
        events = [event(event_timestamp=at(0)), event(event_timestamp=at(10)), event(event_timestamp=at(20.1))]
        assert [count for _, count in sessions_of(events, load_settings(session_gap_mins=10))] == [2, 1]

    def test_gap_counts_from_the_event_before_not_from_the_first(self) -> None:
        assert sessions_of([event(event_timestamp=at(20 * number)) for number in range(10)]) == [(derived(at(0)), 10)]

    def test_order_of_arrival_changes_nothing(self) -> None:
        moments = [at(40), at(0), at(20)]
        assert sessions_of([event(event_timestamp=moment) for moment in moments]) == [(derived(at(0)), 3)]

    def test_client_session_is_never_split_by_silence(self) -> None:
        events = [event(session_id="s1", event_timestamp=at(0)), event(session_id="s1", event_timestamp=at(600))]
        assert sessions_of(events) == [("s1", 2)]

    def test_another_client_session_starts_a_new_session_at_once(self) -> None:
        events = [event(session_id="s1", event_timestamp=at(0)), event(session_id="s2", event_timestamp=at(0, millis=1))]
        assert sessions_of(events) == [("s1", 1), ("s2", 1)]

    def test_interleaved_client_sessions_stay_two(self) -> None:
        events = [event(session_id=f"s{number % 2}", event_timestamp=at(number)) for number in range(6)]
        assert sessions_of(events) == [("s0", 3), ("s1", 3)]

    def test_event_without_session_joins_the_session_before_it(self) -> None:
        events = [event(session_id="s1", event_timestamp=at(0)), event(event_timestamp=at(30)), event(event_timestamp=at(60))]
        assert sessions_of(events) == [("s1", 3)]

    def test_event_without_session_opens_its_own_after_silence(self) -> None:
        events = [event(session_id="s1", event_timestamp=at(0)), event(event_timestamp=at(31))]
        assert sessions_of(events) == [("s1", 1), (derived(at(31)), 1)]

    def test_event_without_session_before_the_first_start_is_a_session_of_its_own(self) -> None:
        events = [event(event_timestamp=at(0)), event(session_id="s1", event_timestamp=at(1)), event(event_timestamp=at(2))]
        assert sessions_of(events) == [(derived(at(0)), 1), ("s1", 2)]

    def test_at_the_same_millisecond_events_with_a_session_come_first(self) -> None:
        assert sessions_of([event(), event(session_id="s1")]) == [("s1", 2)]

    def test_empty_session_id_is_none(self) -> None:
        assert sessions_of([event(session_id="")]) == [(derived(at(0)), 1)]

    def test_same_session_id_on_two_endpoints_and_apps_is_three_sessions(self) -> None:
        events = [event(session_id="s"), event(session_id="s", endpoint_id="phone-2"), event(session_id="s", app_id="blog")]
        assert sessions_of(events) == [("s", 1)] * 3

    def test_message_events_open_no_session_and_prolong_none(self) -> None:
        families = ["_email.open", "_SMS.SUCCESS", "_campaign.send", "_campaign.opened_notification", "_journey.send", "_EMAIL.open"]
        messages = [event(event_type=kind, event_timestamp=at(20)) for kind in families]
        events = [event(event_timestamp=at(0)), *messages, event(event_timestamp=at(40))]
        assert sessions_of(messages) == []
        assert sessions_of(events) == [(derived(at(0)), 1), (derived(at(40)), 1)]

    def test_custom_types_that_resemble_message_events_are_activity(self) -> None:
        kinds = ["email.open", "_emailx.open", "_inapp.message_clicked", "_userauth.sign_in", "x_email.open"]
        assert sessions_of([event(event_type=kind) for kind in kinds]) == [(derived(at(0)), 5)]

    def test_events_without_an_endpoint_are_in_no_session(self) -> None:
        assert sessions_of([event(endpoint_id=None), event(endpoint_id="")]) == []

    def test_missing_and_doubled_stops_change_no_border(self) -> None:
        kinds = [("_session.start", 0), ("_session.stop", 5), ("_session.stop", 5), ("screen.view", 9)]
        events = [event(event_type=kind, session_id="s1", event_timestamp=at(minute)) for kind, minute in kinds]
        events += [event(event_type="_session.start", session_id="s2", event_timestamp=at(60))]
        sql = "select session_id, started_at, stopped_at, duration_secs, has_start, has_stop from core.sessions order by 1"
        assert ask(sql, events) == [
            ("s1", at(0), at(9), 540.0, True, True),
            ("s2", at(60), at(60), 0.0, True, False),
        ]

    def test_session_names_the_last_user_that_is_known_and_none_when_there_is_none(self) -> None:
        users = [(None, 0), ("ann", 1), ("bob", 2), (None, 3)]
        known = [event(user_id=user, event_timestamp=at(minute)) for user, minute in users]
        assert ask("select user_id, event_count from core.sessions", known) == [("bob", 4)]
        assert ask("select user_id, is_derived from core.sessions", [event()]) == [(None, True)]

    def test_session_over_midnight_counts_on_the_day_it_starts(self) -> None:
        events = [event(event_timestamp=at(12 * 60 - 5)), event(event_timestamp=at(12 * 60 + 5))]
        assert ask("select session_date from core.sessions", events) == [(date(2026, 11, 23),)]
        days = ask("select activity_date, session_count, is_new from core.endpoint_days order by 1", events)
        assert days == [(date(2026, 11, 23), 1, True), (date(2026, 11, 24), 0, False)]


class TestPurchases:
    def test_two_equal_purchases_stay_two(self) -> None:
        events = [purchase(9.5, 2, event_id="same"), purchase(9.5, 2, event_id="same")]
        assert ask("select count(*), sum(revenue) from core.purchases", events) == [(2, 38.0)]
        assert ask("select purchase_count, revenue from core.endpoint_days", events) == [(2, 38.0)]

    @pytest.mark.parametrize(
        ("price", "quantity", "revenue"), [(9.5, 2, 19.0), (9.5, None, 9.5), (None, 2, None), (-9.5, 1, -9.5), (9.5, 0, 0.0)]
    )
    def test_revenue_is_price_times_quantity(self, price: float | None, quantity: float | None, revenue: float | None) -> None:
        assert ask("select revenue from core.purchases", [purchase(price, quantity)]) == [(revenue,)]

    def test_purchase_without_price_adds_nothing_to_the_day(self) -> None:
        days = ask("select purchase_count, revenue, currency from core.endpoint_days", [purchase(None), purchase(3)])
        assert days == [(2, 3.0, "EUR")]

    def test_day_with_two_currencies_names_none(self) -> None:
        events = [purchase(1), purchase(2, currency="USD")]
        assert ask("select revenue, currency from core.endpoint_days", events) == [(3.0, None)]

    def test_details_come_out_of_the_attributes(self) -> None:
        sent = {"_product_id": "mug", "_currency": "EUR", "_store": "web", "_transaction_id": "t1", "_item_price_formatted": "9,50 €"}
        sql = "select product_id, currency, store, transaction_id, item_price_formatted, item_price, quantity from core.purchases"
        assert ask(sql, [purchase(9.5, 2, attributes=sent)]) == [("mug", "EUR", "web", "t1", "9,50 €", 9.5, 2.0)]

    def test_purchase_without_endpoint_is_a_purchase_of_no_endpoint_day(self) -> None:
        events = [purchase(5, endpoint_id=None)]
        assert ask("select revenue, is_activity from core.purchases", events) == [(5.0, False)]
        assert ask("from core.endpoint_days", events) == []


class TestEndpointDays:
    def test_day_is_the_utc_day_of_the_endpoints_clock(self) -> None:
        last = datetime(2026, 11, 23, 23, 59, 59, 999000, UTC)
        events = [event(event_timestamp=last, _appended_at=at(days=3)), event(event_timestamp=at(12 * 60))]
        days = ask("select activity_date, event_count from core.endpoint_days order by 1", events)
        assert days == [(date(2026, 11, 23), 1), (date(2026, 11, 24), 1)]

    def test_day_does_not_depend_on_the_readers_time_zone(self) -> None:
        with memory_lake(load_settings(), [event(event_timestamp=at(11 * 60 + 59))]) as con:
            con.execute("set TimeZone = 'Pacific/Auckland'")
            assert con.execute("select activity_date from core.endpoint_days").fetchall() == [(date(2026, 11, 23),)]
            assert con.execute("select session_date from core.sessions").fetchall() == [(date(2026, 11, 23),)]

    def test_endpoint_is_new_on_its_first_active_day_only(self) -> None:
        moments = [at(days=1), at(days=0), at(days=5)]
        message = event(event_type="_email.send", event_timestamp=at(days=-9))
        days = ask(
            "select activity_date, is_new from core.endpoint_days order by 1", [message, *(event(event_timestamp=m) for m in moments)]
        )
        assert [is_new for _, is_new in days] == [True, False, False]

    def test_messages_make_nobody_active(self) -> None:
        assert ask("from core.endpoint_days", [event(event_type="_campaign.send"), event(endpoint_id=None)]) == []

    def test_endpoint_without_user_counts(self) -> None:
        assert ask("select user_id, event_count from core.endpoint_days", [event(user_id=None)]) == [(None, 1)]

    def test_bots_are_counted_and_labelled(self) -> None:
        assert ask("select traffic, event_count from core.endpoint_days", [event(traffic="bot"), event()]) == [("bot", 2)]
        assert ask("select traffic, event_count from core.sessions", [event(traffic="bot")]) == [("bot", 1)]


class TestEvents:
    @pytest.mark.parametrize(("millis", "is_late"), [(-1, False), (0, False), (1, True)])
    def test_event_is_late_beyond_the_allowed_lateness_and_lands_all_the_same(self, millis: int, is_late: bool) -> None:
        sent = event(event_timestamp=at(0), _appended_at=at(24 * 60, millis=millis))
        assert ask("select is_late, is_future from core.events", [sent]) == [(is_late, False)]
        assert ask("select event_count from core.sessions", [sent]) == [(1,)]

    @pytest.mark.parametrize(("millis", "is_future"), [(-1, False), (0, False), (1, True)])
    def test_event_is_from_the_future_beyond_the_allowance(self, millis: int, is_future: bool) -> None:
        sent = event(event_timestamp=at(5, millis=millis), _appended_at=at(0))
        assert ask("select is_late, is_future from core.events", [sent]) == [(False, is_future)]

    def test_email_happens_when_it_arrives_and_everything_else_by_its_own_clock(self) -> None:
        times = {"event_timestamp": at(0), "arrival_timestamp": at(days=3), "_appended_at": at(days=3)}
        sent = [event(event_type="_email.open", **times), event(event_type="_emails.open", **times)]
        sent += [event(event_type="_email.send", event_timestamp=at(0), arrival_timestamp=None)]
        found = ask("select event_type, occurred_at, is_late from core.events order by _offset", sent)
        assert found == [("_email.open", at(days=3), False), ("_emails.open", at(0), True), ("_email.send", at(0), False)]

    def test_core_events_has_every_column_of_staging(self) -> None:
        with memory_lake(load_settings()) as con:
            staging = [row[0] for row in con.execute("describe staging.events").fetchall()]
            core = [row[0] for row in con.execute("describe core.events").fetchall()]
        assert core == [*staging, "occurred_at", "is_activity", "is_late", "is_future", "event_date"]


CHECKS = (
    *("each_record_landed_once", "no_event_landed_twice", "no_event_without_app"),
    *("revenue_agrees", "sessions_cover_activity"),
)


def failed_checks(events: Sequence[Row], dead_letters: Sequence[Row] = (), settings: Settings | None = None) -> dict[str, int]:
    """Checks that return rows, with how many."""
    with memory_lake(settings or load_settings(), events, dead_letters) as con:
        found = {name: len(check_rows(con, name)) for name in CHECKS}
    return {name: rows for name, rows in found.items() if rows}


class TestChecks:
    def test_a_lake_in_order_passes_every_check(self) -> None:
        events = [event(session_id="s1"), event(event_timestamp=at(90)), purchase(3, 2), purchase(None), purchase(4, endpoint_id=None)]
        events += [event(endpoint_id=None), event(event_type="_email.open"), event(app_id="blog"), purchase(1, app_id="blog")]
        assert failed_checks(events, [dead_letter(), dead_letter()]) == {}

    def test_an_empty_lake_passes_every_check(self) -> None:
        assert failed_checks([]) == {}

    def test_a_record_twice_in_events_is_found(self) -> None:
        assert failed_checks([event(_offset=-1), event(_offset=-1)]) == {"each_record_landed_once": 1}

    def test_a_record_in_both_tables_is_found_with_the_tables(self) -> None:
        with memory_lake(load_settings(), [event(_offset=-1)], [dead_letter(_offset=-1)]) as con:
            found = check_rows(con, "each_record_landed_once", "_offset, row_count, lake_tables")
        assert found == [(-1, 2, ["dead_letters", "events"])]

    def test_the_same_offset_of_another_partition_or_topic_is_another_record(self) -> None:
        assert failed_checks([event(_offset=-1), event(_offset=-1, _partition=1), event(_offset=-1, _topic_id="other")]) == {}

    @pytest.mark.parametrize(("millis", "failed"), [(0, {"no_event_landed_twice": 1}), (1, {})])
    def test_a_resend_that_landed_is_found_within_the_window(self, millis: int, failed: dict[str, int]) -> None:
        first = event(event_id="same", endpoint_id=None)
        again = event(event_id="same", endpoint_id=None, _appended_at=at(7 * 24 * 60, millis=millis))
        assert failed_checks([first, again]) == failed

    def test_a_resend_of_a_corrected_event_is_found_by_the_time_that_was_sent(self) -> None:
        corrected = event(event_id="same", event_timestamp=at(120), event_timestamp_as_sent=at(0))
        assert failed_checks([corrected, event(event_id="same", event_timestamp=at(0))]) == {"no_event_landed_twice": 1}
        assert failed_checks([corrected, event(event_id="same", event_timestamp=at(120))]) == {}, "the client's clocks differ"

    def test_with_dedup_off_resends_are_meant_to_land(self) -> None:
        assert failed_checks([event(event_id="same"), event(event_id="same")], settings=load_settings(dedup_enabled=False)) == {}

    @pytest.mark.parametrize(
        "other", [{"event_type": "other"}, {"event_timestamp": at(1)}, {"app_id": "blog"}, {"endpoint_id": "phone-2"}, {"event_id": "b"}]
    )
    def test_a_reused_id_with_another_key_is_no_resend(self, other: dict[str, Any]) -> None:
        assert failed_checks([event(event_id="a"), event(**({"event_id": "a"} | other))]) == {}

    def test_an_event_without_app_is_found(self) -> None:
        assert failed_checks([event(app_id="")]) == {"no_event_without_app": 1}

    def test_a_wrong_core_view_is_found(self) -> None:
        """The checks compare views, so it takes a wrong view to make them fail."""
        with memory_lake(load_settings(), [purchase(3), event()]) as con:
            sessions, purchases = _sql_of("core.sessions"), _sql_of("core.purchases")
            con.execute(f"create or replace view core.sessions as select * replace (event_count + 1 as event_count) from {sessions}")
            con.execute(f"create or replace view core.purchases as select * replace (revenue + 0.01 as revenue) from {purchases}")
            assert len(check_rows(con, "sessions_cover_activity")) == 1
            assert len(check_rows(con, "revenue_agrees")) == 1


def _sql_of(name: str) -> str:
    return f"({library().definitions[name].sql})"


def test_a_replayed_dead_letter_is_begun_sent_landed_or_dead_again() -> None:
    def steps(offset: int, sent_offset: int | None) -> list[Row]:
        row = {"replay_id": "r", "chunk_id": "c", "origin_topic_id": "topic", "origin_partition": 0, "origin_offset": offset}
        row |= {"topic": "raw-events", "sent_topic_id": "topic", "reason": "not_json", "payload_hash_before": 1, "payload_hash_after": 2}
        begun = row | {"step": "begun", "key": b"k", "value": b"v", "end_offsets": {"0": 90}, "replayed_at": at(0)}
        sent = row | {"step": "sent", "sent_partition": 0, "sent_offset": sent_offset, "replayed_at": at(1)}
        return [begun] if sent_offset is None else [begun, sent]

    replays = [*steps(1, None), *steps(2, 102), *steps(3, 103), *steps(4, 104)]
    events = [event(event_id="mended", _offset=103), event(_offset=104, _partition=1), event(_offset=102, _topic_id="other")]
    letters = [dead_letter(_offset=104, origin="topic/0/4", event_id="e4", reason="wrong_type")]
    with memory_lake(load_settings(), events, letters, replays) as con:
        found = con.execute(
            "select origin_offset, state, event_id, reason_again, sent_at from core.dead_letter_replays order by all"
        ).fetchall()
    assert found == [
        (1, "begun", None, None, None),
        (2, "sent", None, None, at(1)),
        (3, "landed", "mended", None, at(1)),
        (4, "dead again", "e4", "wrong_type", at(1)),
    ]
