"""The macro trend: numbers a period, and whether they are out of the ordinary. Monday 2026-11-23 is the day of `at`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from pipeline.config import load_settings
from tests.lake_rows import Row, at, event
from tests.macro_calls import ask

HOUR, DAY, WEEK = 60, 24 * 60, 7 * 24 * 60
LONG_AFTER = ", as_of := '2027-06-01T00:00:00Z'"


def opens(minutes: Sequence[float], **given: Any) -> list[dict[str, Any]]:
    """An event at each of these minutes after noon of the 23rd."""
    return [event(event_type="open", event_timestamp=at(minute), **given) for minute in minutes]


def mondays(counts: Sequence[int]) -> list[dict[str, Any]]:
    """So many events on the 23rd, on the Monday before it, and so on."""
    return [one for weeks, count in enumerate(counts) for one in opens([-weeks * WEEK] * count)]


def trend(events: Sequence[Row], columns: str, first: str = "2026-11-23", last: str = "2026-11-23", more: str = "") -> list[Any]:
    """Columns of the trend of `open`, long after all of it."""
    return ask(f"select {columns} from trend('open', '{first}', '{last}'{more}{LONG_AFTER})", events)


def refusal(call: str) -> str:
    """What a call over an empty lake raises."""
    with pytest.raises(duckdb.Error) as caught:
        ask(f"from trend({call})")
    return str(caught.value)


class TestNumbers:
    EVENTS = (
        *opens([0, 1], endpoint_id="phone-1", metrics={"price": 2.5}),
        *opens([2], endpoint_id="phone-2", metrics={"price": 4.0}),
        *opens([2 * DAY], endpoint_id="phone-2"),
        event(event_type="close"),
    )

    def test_each_day_has_a_row_also_one_without_events(self) -> None:
        rows = trend(self.EVENTS, "period_at::date::varchar, value", last="2026-11-25")
        assert rows == [("2026-11-23", 3.0), ("2026-11-24", 0.0), ("2026-11-25", 1.0)]

    def test_subjects_are_counted_once_a_period(self) -> None:
        assert trend(self.EVENTS, "value", last="2026-11-25", more=", measure := 'subjects'") == [(2.0,), (0.0,), (1.0,)]

    def test_a_metric_is_summed_and_a_missing_one_adds_nothing(self) -> None:
        # 2.5 + 2.5 + 4
        assert trend(self.EVENTS, "value", last="2026-11-25", more=", measure := 'sum:price'") == [(9.0,), (0.0,), (0.0,)]

    def test_empty_lake_is_a_row_of_zero_a_day(self) -> None:
        rows = ask(f"from trend('open', '2026-11-23', '2026-11-24'{LONG_AFTER})")
        assert [row[2:] for row in rows] == [(0.0, None, None, None, False, False)] * 2

    def test_subjects_are_those_of_a_funnels_first_step(self) -> None:
        (from_trend,) = trend(self.EVENTS, "value", more=", measure := 'subjects'")
        (from_funnel,) = ask("select subject_count from funnel(['open'], '2026-11-23', '2026-11-23')", self.EVENTS)
        assert from_trend == from_funnel == (2,)

    def test_users_are_subjects_too(self) -> None:
        events = [*opens([0], endpoint_id="phone-1", user_id="ann"), *opens([1], endpoint_id="phone-2", user_id="ann")]
        assert trend(events, "value", more=", measure := 'subjects'") == [(2.0,)]
        assert trend(events, "value", more=", measure := 'subjects', subject := 'user'") == [(1.0,)]

    def test_an_event_without_an_endpoint_is_an_event_of_nobody(self) -> None:
        events = opens([0], endpoint_id=None)
        assert trend(events, "value") == [(1.0,)]
        assert trend(events, "value", more=", measure := 'subjects'") == [(0.0,)]

    def test_each_value_of_a_breakdown_has_all_periods(self) -> None:
        events = [*opens([0, 1], country="FR"), *opens([DAY], country="DE")]
        rows = trend(events, "by_value, value", last="2026-11-24", more=", by := 'country'")
        assert rows == [("DE", 0.0), ("DE", 1.0), ("FR", 2.0), ("FR", 0.0)]

    def test_one_app_is_asked_alone(self) -> None:
        events = [*opens([0]), *opens([0, 1], app_id="blog")]
        assert trend(events, "value", more=", app := 'blog'") == [(2.0,)]


class TestPeriods:
    def test_a_week_that_the_days_touch_is_counted_whole(self) -> None:
        # Tuesday to Tuesday: the weeks of Monday the 16th and of Monday the 23rd. Sunday the 22nd is of the first, Sunday the 29th of the second.
        events = opens([-7 * DAY, -DAY, 0, 6 * DAY, 7 * DAY])
        rows = trend(events, "period_at::date::varchar, value", "2026-11-17", "2026-11-24", ", period := 'week'")
        assert rows == [("2026-11-16", 2.0), ("2026-11-23", 2.0)]

    def test_months_are_of_the_calendar(self) -> None:
        events = opens([0, 7 * DAY, 8 * DAY])
        rows = trend(events, "period_at::date::varchar, value", "2026-11-23", "2026-12-01", ", period := 'month'")
        assert rows == [("2026-11-01", 2.0), ("2026-12-01", 1.0)]

    def test_hours_of_a_day_are_24_rows(self) -> None:
        rows = trend(opens([0, 59, 60]), "hour(period_at), value", more=", period := 'hour'")
        assert [hour for hour, _ in rows] == list(range(24))
        assert [(hour, value) for hour, value in rows if value] == [(12, 2.0), (13, 1.0)]

    def test_hour_that_comes_twice_when_clocks_go_back_is_one_row(self) -> None:
        # In Berlin it is 2:30 at 00:30 and at 01:30 UTC of 2026-10-25; 29 days and 12 hours before noon of the 23rd is its midnight UTC.
        events = opens([-(29 * 24 + 12) * HOUR + minute for minute in (30, 90, 150)])
        sql = f"select hour(period_at), value from trend('open', '2026-10-25', '2026-10-25', period := 'hour'{LONG_AFTER}) where value > 0"
        assert ask(sql, events, load_settings(report_zone="Europe/Berlin")) == [(2, 2.0), (3, 1.0)]

    def test_days_are_those_of_the_apps_zone(self) -> None:
        # 23:30 UTC of the 23rd is 0:30 of the 24th in Berlin.
        sql = f"select value from trend('open', '2026-11-23', '2026-11-24'{LONG_AFTER})"
        assert ask(sql, opens([11.5 * HOUR]), load_settings(report_zone="Europe/Berlin")) == [(0.0,), (1.0,)]


class TestBands:
    def test_scatter_of_the_same_weekdays_makes_the_band(self) -> None:
        # The middle of 10 10 20 20 30 30 40 40 is 25, their distances from it 15 15 5 5 5 5 15 15 with the middle 10: 3 x 1.4826 x 10 = 44.478.
        before = [10, 10, 20, 20, 30, 30, 40, 40]
        columns = "value, expected, expected_low, expected_high, is_anomaly"
        band = (25.0, pytest.approx(-19.478), pytest.approx(69.478))
        assert trend(mondays([69, *before]), columns) == [(69.0, *band, False)]
        assert trend(mondays([70, *before]), columns) == [(70.0, *band, True)]

    def test_counts_that_were_always_the_same_may_differ_by_chance(self) -> None:
        # Three times the square root of 9 is 9: 0 to 18, both still ordinary.
        assert trend(mondays([18] + [9] * 8), "expected_low, expected_high, is_anomaly") == [(0.0, 18.0, False)]
        assert trend(mondays([19] + [9] * 8), "is_anomaly") == [(True,)]
        assert trend(mondays([0] + [9] * 8), "is_anomaly") == [(False,)]

    def test_sums_that_were_always_the_same_may_differ_by_three_twentieths(self) -> None:
        events = [one for weeks in range(1, 9) for one in opens([-weeks * WEEK], metrics={"price": 100.0})]
        for price, is_anomaly in [(115.0, False), (115.1, True), (85.0, False), (84.9, True)]:
            day = opens([0], metrics={"price": price})
            assert trend([*events, *day], "is_anomaly", more=", measure := 'sum:price'") == [(is_anomaly,)]

    def test_other_weekdays_are_not_compared(self) -> None:
        sundays = opens([-weeks * WEEK - DAY for weeks in range(9) for _ in range(50)])
        assert trend([*mondays([9] * 9), *sundays], "expected") == [(9.0,)]

    def test_weeks_before_the_first_event_of_all_are_not_compared(self) -> None:
        assert trend(mondays([9] * 5), "expected") == [(9.0,)]

    def test_fewer_than_four_weeks_make_no_band(self) -> None:
        assert trend(mondays([900, 9, 9, 9]), "expected, is_anomaly") == [(None, False)]

    def test_more_than_eight_weeks_ago_is_forgotten(self) -> None:
        assert trend(mondays([9] + [9] * 8 + [500] * 9), "expected") == [(9.0,)]

    def test_weeks_are_compared_with_the_weeks_before(self) -> None:
        assert trend(mondays([20] + [9] * 8), "expected, is_anomaly", more=", period := 'week'") == [(9.0, True)]


class TestRunning:
    def rows(self, as_of: str) -> list[Any]:
        sql = f"select is_running, is_anomaly from trend('open', '2026-11-23', '2026-11-23', as_of := '{as_of}')"
        return ask(sql, mondays([0] + [100] * 8))

    def test_period_runs_until_exactly_its_end(self) -> None:
        # Of a hundred, nothing has come yet: while the day runs that means nothing.
        assert self.rows("2026-11-23T23:59:59.999Z") == [(True, False)]
        assert self.rows("2026-11-24T00:00:00Z") == [(False, True)]

    def test_a_running_day_makes_no_band_for_later_ones(self) -> None:
        sql = "select expected from trend('open', '2026-11-30', '2026-11-30', as_of := '2026-11-23T15:00:00Z')"
        # Of the Mondays before the 30th, that of the 23rd runs: seven are left, all of 100.
        assert ask(sql, mondays([0] + [100] * 7)) == [(100.0,)]
        sql = "select expected from trend('open', '2026-11-30', '2026-11-30', as_of := '2026-11-24T15:00:00Z')"
        assert ask(sql, mondays([0] + [50] * 3)) == [(50.0,)]

    def test_a_day_ends_when_it_ends_in_the_apps_zone(self) -> None:
        sql = "select is_running from trend('open', '2026-11-23', '2026-11-23', as_of := '2026-11-23T23:00:00Z')"
        assert ask(sql) == [(True,)]
        assert ask(sql, (), load_settings(report_zone="Europe/Berlin")) == [(False,)]

    def test_without_a_moment_it_is_now(self) -> None:
        assert ask("select is_running from trend('open', '2020-01-01', '2020-01-01')") == [(False,)]
        assert ask("select is_running from trend('open', '2999-01-01', '2999-01-01')") == [(True,)]


def test_silence_of_eight_weeks_after_an_event_of_long_ago_is_a_band_of_zeros() -> None:
    # The first event of all lies a year before the bands: each of the 8 Mondays counts, with 0, and 4 are more than 3 x sqrt(1).
    day = opens([0] * 4)
    assert trend([*day, *opens([-60 * WEEK])], "value, expected, is_anomaly") == [(4.0, 0.0, True)]
    # The control: without it there is nothing to compare with.
    assert trend(day, "value, expected, is_anomaly") == [(4.0, None, False)]


def test_app_that_ended_long_before_makes_no_zeros_of_the_weeks_before_another_began() -> None:
    # The archive's events are of a year before; the shop began three Mondays before the 23rd: too few for a band.
    events = [*mondays([9, 9, 9, 9]), *opens([-60 * WEEK] * 5, app_id="archive")]
    assert trend(events, "value, expected, is_anomaly") == [(9.0, None, False)]
    # An app that is still there counts, with the silence of a year: the middle of the 8 Mondays 0 0 0 0 0 9 9 9 is 0.
    assert trend([*events, *opens([0], app_id="archive")], "value, expected, is_anomaly") == [(10.0, 0.0, True)]
    # A week more of the shop: of its four Mondays alone the middle is 9.
    assert trend([*events, *opens([-4 * WEEK] * 9)], "value, expected, is_anomaly") == [(9.0, 9.0, False)]


class TestHoursWhenClocksChange:
    """Berlin: 02:00 of Sunday 2026-03-29 is left out, 02:00 of Sunday 2026-10-25 comes twice; each week before has 20 events at 02:30."""

    BERLIN = load_settings(report_zone="Europe/Berlin")
    COLUMNS = "hour(period_at) as hour, value, expected, is_anomaly"

    def hours(self, day: str, moments: Sequence[datetime], where: str = "hour between 1 and 3") -> list[Any]:
        events = [event(event_type="open", event_timestamp=moment) for moment in moments]
        return ask(
            f"select {self.COLUMNS} from trend('open', '{day}', '{day}', period := 'hour'{LONG_AFTER}) where {where}", events, self.BERLIN
        )

    def test_hour_that_spring_leaves_out_has_no_row_and_is_no_anomaly(self) -> None:
        # In winter 02:30 is 01:30 UTC. On the day itself that is 03:30; at 03:00 there never was anything before: 20 are more than 3.
        moments = [datetime(2026, 3, 29, 1, 30, tzinfo=UTC) - timedelta(weeks=weeks) for weeks in range(9) for _ in range(20)]
        assert self.hours("2026-03-29", moments) == [(1, 0.0, 0.0, False), (3, 20.0, 0.0, True)]
        # The control: a week before the hour is there.
        assert self.hours("2026-03-22", moments, "hour = 2") == [(2, 20.0, 20.0, False)]

    def test_hour_that_was_left_out_is_no_zero_in_later_bands(self) -> None:
        # In summer 02:30 is 00:30 UTC. On 2026-04-26 there are 4 Sundays with that hour since the 22nd of March, not 5: 20, then 0, 0 and 40 in April, middle 10.
        counts = {22: 20, 36: 0, 43: 0, 50: 40, 57: 20}
        moments = [
            datetime(2026, 3, 1, 1 if day < 29 else 0, 30, tzinfo=UTC) + timedelta(days=day - 1)
            for day, count in counts.items()
            for _ in range(count)
        ]
        assert self.hours("2026-04-26", moments, "hour = 2") == [(2, 20.0, 10.0, False)]

    def test_hour_that_autumn_doubles_is_no_anomaly(self) -> None:
        # In summer 02:30 is 00:30 UTC: 20 in each of 8 weeks. Of the doubled hour 00:30 and 01:30 are both: 40, above 20 + 3 x sqrt(20) = 33.4.
        before = [datetime(2026, 10, 25, 0, 30, tzinfo=UTC) - timedelta(weeks=weeks) for weeks in range(1, 9) for _ in range(20)]
        doubled = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1) for _ in range(20)]
        assert self.hours("2026-10-25", [*before, *doubled], "hour = 2") == [(2, 40.0, 20.0, False)]
        # The control: as many a week before are an anomaly.
        many = [datetime(2026, 10, 18, 0, 30, tzinfo=UTC)] * 20
        assert self.hours("2026-10-18", [*before, *many], "hour = 2") == [(2, 40.0, 20.0, True)]

    def test_doubled_hour_is_not_part_of_later_bands(self) -> None:
        # On 2026-11-15 the hour before has 10, 10, 40 (doubled), 20 and 20: without it the middle of 10 10 20 20 is 15, with it 20.
        counts = [(datetime(2026, 10, 11, 0, 30, tzinfo=UTC), 10), (datetime(2026, 10, 18, 0, 30, tzinfo=UTC), 10)]
        counts += [(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 20), (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), 20)]
        counts += [(datetime(2026, 11, 1, 1, 30, tzinfo=UTC), 20), (datetime(2026, 11, 8, 1, 30, tzinfo=UTC), 20)]
        moments = [moment for moment, count in counts for _ in range(count)]
        assert self.hours("2026-11-15", moments, "hour = 2") == [(2, 0.0, 15.0, False)]


class TestRefusals:
    def test_each_names_the_argument_and_what_was_expected(self) -> None:
        day = "'2026-11-23', '2026-11-23'"
        assert "measure is 'mean'; expected one of events, subjects, sum" in refusal(f"'open', {day}, measure := 'mean'")
        assert "expected a metric to sum" in refusal(f"'open', {day}, measure := 'sum:'")
        assert "period is 'year'; expected one of day, week, month, hour" in refusal(f"'open', {day}, period := 'year'")
        # 'weekly' is no word of date_trunc's either, which would refuse it in words of its own.
        for period in ("weekly", "fortnight"):
            assert f"period is '{period}'; expected one of day, week, month, hour" in refusal(f"'open', {day}, period := '{period}'")
        assert "period is null; expected one of" in refusal(f"'open', {day}, period := null")
        assert "subject is 'device'" in refusal(f"'open', {day}, subject := 'device'")
        assert "as_of is 'soon'; expected a moment" in refusal(f"'open', {day}, as_of := 'soon'")
        assert "from_date" in refusal("'open', '2026-11-24', '2026-11-23'")
        assert "from_date" in refusal("'open', 'monday', '2026-11-23'")
        assert "cannot be read" in refusal(f"'', {day}")
