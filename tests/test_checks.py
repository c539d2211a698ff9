"""Each check of events, days, sessions, purchases and endpoints: a lake in order gives no row, one that is wrong by hand the rows that say so.

That each check returns rows in some test is held by tests/definitions_named.py.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.config import load_settings
from schemas.records import Reason
from tests.check_lake import check_rows, found
from tests.endpoint_rows import update
from tests.lake_rows import at, dead_letter, event, memory_lake, purchase

DAY = date(2026, 11, 23)
RIGHT = [
    event(session_id="s1", platform="ios"),
    event(event_timestamp=at(90), platform="web"),
    event(event_timestamp=at(120), platform="ios"),
    event(endpoint_id=None),
    event(event_type="_email.open"),
    purchase(3, 2),
    purchase(None),
    purchase(4, endpoint_id=None),
    purchase(1, app_id="blog"),
]


def days_of(counts: list[int], **given: Any) -> list[dict[str, Any]]:
    """So many events on each day; the last day is that of `at(0)`."""
    first = len(counts) - 1
    return [event(event_timestamp=at(days=number - first), **given) for number, count in enumerate(counts) for _ in range(count)]


def test_a_lake_in_order_gives_no_row_and_an_empty_one_neither() -> None:
    assert found(RIGHT, dead_letters=[dead_letter()], endpoint_updates=[update(user_id="ann", _topic_id="updates")]) == {}
    assert found() == {}


class TestLanding:
    def test_reasons_that_the_check_knows_are_those_that_there_are(self) -> None:
        letters = [dead_letter(reason=str(reason)) for reason in Reason]
        assert found(dead_letters=letters) == {}
        assert found(dead_letters=[*letters, dead_letter(reason="no_mood")]) == {"dead_letter_reasons_are_known": [("no_mood", 1)]}

    def test_rows_in_the_folder_of_another_day_are_found(self) -> None:
        moved = event() | {"arrival_date": date(2026, 11, 24)}
        assert found([event(), moved]) == {"rows_lie_in_their_day": [("events", date(2026, 11, 24), 1)]}

    @pytest.mark.parametrize(("hours", "is_stale"), [(23, False), (25, True)])
    def test_a_lake_whose_newest_event_is_a_day_old_is_stale(self, hours: int, is_stale: bool) -> None:
        moment = datetime.now(UTC) - timedelta(hours=hours)
        with memory_lake(load_settings(), [event(event_timestamp=moment)]) as con:
            rows = check_rows(con, "events_are_fresh", "age_hours, age_hours_max")
        assert rows == ([(25.0, 24.0)] if is_stale else [])

    def test_an_import_that_lost_a_row_is_found(self) -> None:
        row = {"content_hash": "h", "file": "a.csv", "rows": 10, "acknowledged": 7, "rejected": 1, "identical": 2, "finished_at": at(0)}
        with memory_lake(load_settings()) as con:
            for policy in ("one", "keep"):
                values = [*row.values(), policy]
                con.execute(
                    f"insert into lake.imports ({', '.join(row)}, identical_policy) values ({', '.join('?' * len(values))})", values
                )
            rows = check_rows(con, "imports_are_whole", "file, rows, acknowledged, rejected")
            assert con.execute("select file, count(*) from staging.imports group by all").fetchall() == [("a.csv", 2)]
        # Of the first, two identical rows were kept back: 7 + 1 + 2 = 10. The second kept none back, and two are lost.
        assert rows == [("a.csv", 10, 7, 1)]

    @pytest.mark.parametrize(("hours", "count"), [(23, 0), (25, 1)])
    def test_a_replay_that_has_not_landed_within_a_day_is_found(self, hours: int, count: int) -> None:
        begun_at = datetime.now(UTC) - timedelta(hours=hours)
        step = {"replay_id": "r", "chunk_id": "c", "step": "begun", "origin_topic_id": "t", "origin_partition": 0, "origin_offset": 1}
        step |= {"topic": "raw-events", "sent_topic_id": "t", "reason": "not_json", "payload_hash_before": 1, "payload_hash_after": 2}
        step |= {"key": b"k", "value": b"v", "end_offsets": {"0": 9}, "replayed_at": begun_at}
        assert [len(rows) for name, rows in found(dead_letter_replays=[step]).items() if name == "replays_have_landed"] == [1] * count

    def test_a_share_of_late_events_or_duplicates_that_leaps_up_is_found(self) -> None:
        # Seven days of 100 events, none late; then a day with 98 and two that are two days late, and today.
        usual = [event(endpoint_id=f"e{number}", event_timestamp=at(days=day)) for day in range(-8, -1) for number in range(100)]
        ordinary = [event(endpoint_id=f"e{number}", event_timestamp=at(days=-1)) for number in range(98)]
        late = [event(endpoint_id=f"l{number}", event_timestamp=at(days=-3), _appended_at=at(days=-1)) for number in range(2)]
        rows = [*usual, *ordinary, *late, event()]
        assert found(rows) == {"late_share_is_as_before": [(date(2026, 11, 22), 100, 2, 0.02, 0.0)]}
        assert found(rows[100:]) == {}, "six days before are too few"
        # One duplicate among 101 is no more than one in a hundred; two among 102 are.
        resent = [dead_letter(reason="duplicate", _appended_at=at(days=-1)) for _ in range(2)]
        on_time = [*usual, *ordinary, *(event(endpoint_id="f", event_timestamp=at(days=-1, millis=n)) for n in range(2)), event()]
        assert found(on_time, dead_letters=resent[:1]) == {}
        assert found(on_time, dead_letters=resent) == {"duplicates_share_is_as_before": [(date(2026, 11, 22), 102, 2, 2 / 102, 0.0)]}


class TestDays:
    def test_a_day_that_had_not_come_is_found_and_one_within_the_allowance_is_not(self) -> None:
        night = datetime(2026, 11, 23, 23, 56, tzinfo=UTC)
        # 300 seconds ahead is 00:01 of the next day: allowed. Two hours ahead on the same day is no day of the future.
        allowed = event(event_timestamp=night + timedelta(seconds=300), _appended_at=night)
        same_day = event(event_timestamp=at(120), _appended_at=at(0))
        assert found([allowed, same_day]) == {}
        ahead = event(event_timestamp=at(days=400), _appended_at=at(0))
        assert found([allowed, ahead]) == {"no_days_in_the_future": [("shop", 1, 1, DAY + timedelta(days=400), DAY + timedelta(days=400))]}
        # However many days it is, an app is one row.
        more = [event(event_timestamp=at(days=days), _appended_at=at(0), endpoint_id="tablet") for days in (2, 500)]
        blog = event(event_timestamp=at(days=1), _appended_at=at(0), app_id="blog")
        assert found([allowed, ahead, *more, blog])["no_days_in_the_future"] == [
            ("blog", 1, 1, DAY + timedelta(days=1), DAY + timedelta(days=1)),
            ("shop", 3, 2, DAY + timedelta(days=2), DAY + timedelta(days=500)),
        ]

    @pytest.mark.parametrize(("year", "source", "count"), [(2014, None, 1), (2015, None, 0), (2014, "import:a.csv", 0)])
    def test_a_day_before_2015_is_found_unless_it_was_imported(self, year: int, source: str | None, count: int) -> None:
        rows = found([event(event_timestamp=datetime(year, 1, 1, tzinfo=UTC), source=source)]).get("no_days_before_2015", [])
        assert rows == [("shop", date(year, 1, 1), 1, 1)][:count]

    def test_a_weekday_with_less_than_half_or_more_than_twice_its_median_is_found(self) -> None:
        # 28 days before the last whole day, each weekday with 202 events; then the day itself, and today. 101 is half and 101 off: not less than half.
        def volume(count: int, usual: int = 202) -> Any:
            weeks = [event(endpoint_id="e", event_timestamp=at(days=-1 - 7 * week)) for week in range(1, 5) for _ in range(usual)]
            day = [event(endpoint_id="e", event_timestamp=at(days=-1)) for _ in range(count)]
            return {name: rows for name, rows in found([*weeks, *day, event()]).items() if name.startswith("volume")}

        whole = date(2026, 11, 22)
        assert volume(101) == volume(404) == {}
        assert volume(100) == {"volume_is_as_on_the_same_weekday": [("shop", whole, 100, 202.0)]}
        assert volume(405) == {"volume_is_as_on_the_same_weekday": [("shop", whole, 405, 202.0)]}
        assert volume(0, 100) == {}, "a hundred is no large number"

    def test_a_new_type_is_found_for_seven_days_in_an_app_older_than_four_weeks(self) -> None:
        def news(first_day: int, new_day: int) -> Any:
            rows = [event(event_timestamp=at(days=first_day)), event(event_type="cart.ad", event_timestamp=at(days=new_day)), event()]
            return found(rows).get("no_new_event_type", [])

        assert news(-29, -6) == [("shop", "cart.ad", DAY - timedelta(days=6), 1)]
        assert news(-29, -7) == news(-28, -6) == []

    def test_a_type_of_every_day_that_is_gone_is_found(self) -> None:
        daily = days_of([2] * 14 + [0, 0], event_type="cart.add")
        assert found([*daily, event()]) == {"no_event_type_vanished": [("shop", "cart.add", DAY - timedelta(days=2), 28)]}
        # One of them is still there on the last whole day, or today, or was never daily.
        assert found([*daily, event(event_type="cart.add", event_timestamp=at(days=-1)), event()]) == {}
        assert found([*daily, event(event_type="cart.add")]) == {}
        assert found([*days_of([2] * 13 + [0, 0, 0], event_type="cart.add"), event()]) == {}

    def test_a_week_over_the_end_of_summer_time_adds_up_and_days_of_24_hours_do_not(self) -> None:
        # Berlin puts its clocks back on 2026-10-25: the day lasts from 22:00 UTC of the 24th to 23:00 UTC of the 25th, 25 hours.
        zone = load_settings(report_zone="Europe/Berlin")
        hours = [event(event_timestamp=datetime(2026, 10, 22, tzinfo=UTC) + timedelta(hours=hour), endpoint_id="e") for hour in range(168)]
        assert found(hours, settings=zone) == {}
        # Wrong by hand: local days of 24 hours, as if summer time went on. 23:00 UTC is then midnight of no day; one event a day moves over.
        wrong = {"core.endpoint_days": "select * replace (event_count + (activity_date = '2026-10-25')::bigint as event_count) from {view}"}
        rows = found(hours, wrong, zone)["local_days_add_up"]
        assert rows == [("shop", date(2026, 10, 25), 25.0, 26, 25)]

    def test_uniques_of_a_day_that_do_not_add_up_are_found(self) -> None:
        events = [event(platform="ios"), event(platform="web"), event(platform="ios", endpoint_id="phone-2")]
        # Two endpoints; ios has 2 and web 1: between 2 and 3.
        assert found(events) == {}
        doubled = {"core.endpoint_days": "from {view} union all from {view}"}
        rows = found(events, doubled)
        assert rows["daily_uniques_add_up"] == [("shop", DAY, 4, 2, 3)]
        assert rows["each_endpoint_day_once"] == [("shop", "phone-1", DAY, True, 2), ("shop", "phone-2", DAY, True, 2)]
        assert rows["each_endpoint_is_new_once"] == [("shop", "phone-1", 2, DAY, DAY), ("shop", "phone-2", 2, DAY, DAY)]
        lost = {"core.endpoint_days": "from {view} where endpoint_id <> 'phone-2'"}
        assert found(events, lost)["each_endpoint_day_once"] == [("shop", "phone-2", DAY, True, 0)]


class TestMacros:
    def test_a_funnel_that_begins_with_others_than_its_trend_is_found(self) -> None:
        # On the last whole day two endpoints of shop and one of blog started sessions, one of them twice.
        starts = [event(event_type="_session.start", event_timestamp=at(days=-1), endpoint_id=name) for name in "aab"]
        starts += [event(event_type="_session.start", event_timestamp=at(days=-1), app_id="blog"), event()]
        by_events = 'create or replace macro funnel(steps, from_date, to_date, "by" := null) as table'
        by_events += " select app_id as by_value, count(*) as subject_count from core.events where event_type = steps[1] group by all"
        with memory_lake(load_settings(), starts) as con:
            assert check_rows(con, "funnel_begins_with_trend") == []
            con.execute(by_events)
            assert check_rows(con, "funnel_begins_with_trend") == [("shop", 3, 2)]


class TestSessions:
    def test_events_of_one_moment_after_a_silence_are_in_one_session(self) -> None:
        """Two windows must see them in one order; ties that fell otherwise put one of them into the session of the day before."""
        events = days_of([2] * 16)
        with memory_lake(load_settings(), events) as con:
            counts = con.execute("select count(*), min(event_count), max(event_count) from core.sessions").fetchall()
        assert counts == [(16, 2, 2)]

    def test_sessions_by_gap_that_overlap_are_found(self) -> None:
        events = [event(), event(event_timestamp=at(31))]
        assert found(events) == {}
        longer = {
            "core.sessions": "select * replace (stopped_at + interval 31 minutes as stopped_at, duration_secs + 1860 as duration_secs) from {view}"
        }
        second = f"gap:{int(at(31).timestamp() * 1000)}"
        rows = found(events, longer)
        assert rows["gap_sessions_do_not_overlap"] == [("shop", "phone-1", second, at(31), at(31))]
        # The first one now holds the silence of 31 minutes too.
        assert rows["gap_sessions_keep_the_gap"] == [("shop", "phone-1", f"gap:{int(at().timestamp() * 1000)}", at(0), at(31))]

    def test_a_session_that_does_not_last_as_long_as_it_does_is_found(self) -> None:
        wrong = {"core.sessions": "select * replace (-duration_secs as duration_secs) from {view}"}
        events = [event(session_id="s"), event(session_id="s", event_timestamp=at(1))]
        assert found(events, wrong) == {"session_durations_are_not_negative": [("shop", "phone-1", "s", at(0), at(1), -60.0)]}


class TestPurchases:
    def test_a_price_without_a_currency_is_found_and_nothing_for_nothing_is_not(self) -> None:
        events = [purchase(3, attributes={}), purchase(0, attributes={}), purchase(None, attributes={}), purchase(2)]
        assert found(events) == {"purchases_have_a_currency": [("shop", DAY, 1, 3.0)]}

    def test_revenue_that_is_no_finite_number_is_found(self) -> None:
        rows = found([purchase(1e308, 10, event_id="big"), purchase(None)])["prices_and_quantities_are_finite"]
        assert [(row[2], row[4], row[5], row[6]) for row in rows] == [("big", 1e308, 10.0, float("inf"))]


class TestEndpoints:
    def test_active_endpoints_that_nobody_knows_are_found_in_apps_that_send_endpoints(self) -> None:
        events = [event(), event(endpoint_id="PHONE-2"), event(endpoint_id="ghost"), event(app_id="blog")]
        known = [update("phone-1"), update("phone-2")]
        assert found(events, endpoint_updates=known) == {"active_endpoints_are_known": [("shop", DAY, 3, 1, "ghost")]}
        assert found(events[:2], endpoint_updates=known) == {}

    def test_an_endpoint_twice_and_an_address_of_two_are_found(self) -> None:
        twice = {"core.endpoint_facts": "from {view} union all from {view}"}
        rows = found(wrong_views=twice, endpoint_updates=[update("a", channel_type="EMAIL", address="a@example.com")])
        assert rows["each_endpoint_once"] == [("shop", "a", 2)]
        assert rows["no_two_active_endpoints_share_an_address"] == [("shop", "EMAIL", "a@example.com", 2, ["a", "a"])]
