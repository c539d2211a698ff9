"""The macros that check arguments and tell days: each error names the argument, the value and what was expected."""

from datetime import date, timedelta

import pytest

from tests.macro_values import refused, value


class TestDates:
    @pytest.mark.parametrize("given", ["'2026-11-01'", "date '2026-11-01'", "timestamp '2026-11-01 23:59:59'", "' 2026-11-1'"])
    def test_day_is_taken_as_date_and_as_text(self, given: str) -> None:
        assert value(f"check_date({given}, 'from_date')") == date(2026, 11, 1)

    @pytest.mark.parametrize(
        ("given", "shown"), [("null", "null"), ("'2026-13-01'", "'2026-13-01'"), ("'yesterday'", "'yesterday'"), ("''", "''")]
    )
    def test_what_is_no_day_is_refused(self, given: str, shown: str) -> None:
        assert refused(f"check_date({given}, 'from_date')") == f"from_date is {shown}; expected a day, for example '2026-11-01'."

    def test_range_of_one_day_is_one(self) -> None:
        day = date(2026, 11, 1)
        assert value("check_range('2026-11-01', date '2026-11-01')") == {"from_date": day, "to_date": day}

    def test_range_that_ends_before_it_begins_is_refused(self) -> None:
        message = "from_date is '2026-11-02' and to_date is '2026-11-01'; expected the first day and the last, one day twice for itself."
        assert refused("check_range('2026-11-02', '2026-11-01')") == message

    def test_range_checks_its_days(self) -> None:
        assert refused("check_range('2026-11-02', 'x')").startswith("to_date is 'x'; expected a day")
        assert refused("check_range(null, '2026-11-02')").startswith("from_date is null; expected a day")


class TestIntervals:
    @pytest.mark.parametrize("given", ["interval '36 hours'", "'36 hours'", "'1 day 12:00:00'", "'1 day 12 hours'"])
    def test_length_of_time_is_taken_as_interval_and_as_text(self, given: str) -> None:
        assert value(f"check_interval({given}, 'within')") == timedelta(hours=36)

    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            ("null", "null"),
            ("''", "''"),
            ("'a while'", "'a while'"),
            ("'30'", "'30'"),
            ("30", "'30'"),
            ("interval '0 days'", "'00:00:00'"),
            ("interval '999 microseconds'", "'00:00:00.000999'"),
            ("interval '-1 day'", "'-1 day'"),
            ("'1 month -31 days'", "'1 month -31 days'"),
        ],
    )
    def test_what_is_no_length_of_time_is_refused_and_a_number_has_no_unit(self, given: str, shown: str) -> None:
        message = f"within is {shown}; expected a length of time of at least a millisecond, for example interval '1 day'."
        assert refused(f"check_interval({given}, 'within')") == message

    def test_shortest_is_a_millisecond(self) -> None:
        assert value("check_interval('1 millisecond', 'within')") == timedelta(milliseconds=1)


class TestZones:
    @pytest.mark.parametrize(
        ("moment", "zone", "day", "hour"),
        [
            ("2026-11-23 23:59:59.999+00", "UTC", date(2026, 11, 23), 23),
            ("2026-11-24 00:00:00+00", "UTC", date(2026, 11, 24), 0),
            # New York is five hours behind in winter, Auckland thirteen ahead in its summer, Kathmandu 5:45.
            ("2026-11-24 04:59:59.999+00", "America/New_York", date(2026, 11, 23), 23),
            ("2026-11-24 05:00:00+00", "America/New_York", date(2026, 11, 24), 0),
            ("2026-11-23 11:00:00+00", "Pacific/Auckland", date(2026, 11, 24), 0),
            ("2026-11-23 18:15:00+00", "Asia/Kathmandu", date(2026, 11, 24), 0),
            # On 2026-03-29 Berlin's clocks go from 2 to 3; on 2026-10-25 from 3 back to 2: the hour 2 is not there, and there twice.
            ("2026-03-29 00:59:59+00", "Europe/Berlin", date(2026, 3, 29), 1),
            ("2026-03-29 01:00:00+00", "Europe/Berlin", date(2026, 3, 29), 3),
            ("2026-10-25 00:30:00+00", "Europe/Berlin", date(2026, 10, 25), 2),
            ("2026-10-25 01:30:00+00", "Europe/Berlin", date(2026, 10, 25), 2),
            ("2026-10-25 02:00:00+00", "Europe/Berlin", date(2026, 10, 25), 3),
        ],
    )
    def test_day_and_hour_are_what_a_clock_of_the_zone_shows(self, moment: str, zone: str, day: date, hour: int) -> None:
        assert value(f"local_date(timestamptz '{moment}', '{zone}')") == day
        assert value(f"local_hour(timestamptz '{moment}', '{zone}')") == hour

    def test_no_zone_and_no_moment_are_no_day(self) -> None:
        assert value("local_date(timestamptz '2026-11-23 12:00:00+00', null)") is None
        assert value("local_hour(null::timestamptz, 'Europe/Berlin')") is None


class TestParts:
    """What other macros are made of, by itself."""

    @pytest.mark.parametrize(
        ("moment", "is_in"),
        [
            # The 23rd to the 24th of November in Berlin: from 23:00 UTC of the 22nd up to 23:00 UTC of the 24th.
            ("2026-11-22 22:59:59.999+00", False),
            ("2026-11-22 23:00:00+00", True),
            ("2026-11-23 12:00:00+00", True),
            ("2026-11-24 22:59:59.999+00", True),
            ("2026-11-24 23:00:00+00", False),
        ],
    )
    def test_days_begin_and_end_at_midnight_of_the_zone(self, moment: str, is_in: bool) -> None:
        days = "date '2026-11-23', date '2026-11-24'"
        assert value(f"lies_in_days(timestamptz '{moment}', 'Europe/Berlin', {days})") is is_in

    @pytest.mark.parametrize(
        ("period", "first", "later", "number"),
        [
            ("day", "2026-02-28", "2026-03-01", 1),
            ("week", "2026-11-23", "2026-12-07", 2),
            ("month", "2026-11-01", "2027-02-01", 3),
            ("month", "2026-11-01", "2026-11-01", 0),
            ("year", "2026-11-01", "2027-11-01", None),
        ],
    )
    def test_periods_are_counted(self, period: str, first: str, later: str, number: int | None) -> None:
        assert value(f"period_number(date '{first}', date '{later}', '{period}')") == number

    @pytest.mark.parametrize(
        ("period", "day", "following"),
        [
            ("day", "2026-12-31", date(2027, 1, 1)),
            # The 23rd is a Monday, the 29th the Sunday of its week.
            ("week", "2026-11-23", date(2026, 11, 30)),
            ("week", "2026-11-29", date(2026, 11, 30)),
            ("month", "2026-12-31", date(2027, 1, 1)),
            ("month", "2028-02-29", date(2028, 3, 1)),
            ("year", "2026-11-01", None),
        ],
    )
    def test_next_period_begins_after_the_one_of_the_day(self, period: str, day: str, following: date | None) -> None:
        assert value(f"next_period_date(date '{day}', '{period}')") == following

    def test_rate_and_change_are_null_where_there_is_nothing_to_divide_by(self) -> None:
        assert [value(f"rate({given})") for given in ("1, 4", "0, 4", "1, 0", "null, 4", "1, null")] == [0.25, 0.0, None, None, None]
        assert [value(f"change({given})") for given in ("3, 2", "1, 2", "-1, -2", "1, 0", "null, 2")] == [0.5, -0.5, 0.5, None, None]

    def test_ends_of_wilsons_interval_are_those_of_a_hand(self) -> None:
        # 10 of 100: (10 + 1.9207) / 103.8415 = 0.1148, and to either side 1.96 x sqrt(9 + 0.9604) / 103.8415 = 0.0596. 0 of 10 ends at 3.8415 / 13.8415.
        assert (round(value("wilson_low(10, 100)"), 4), round(value("wilson_high(10, 100)"), 4)) == (0.0552, 0.1744)
        assert (value("wilson_low(0, 10)"), round(value("wilson_high(0, 10)"), 4)) == (0, 0.2775)
        assert (round(value("wilson_low(10, 10)"), 4), round(value("wilson_high(10, 10)"), 4)) == (0.7225, 1)
        assert (value("wilson_low(0, 0)"), value("wilson_high(0, 0)")) == (None, None)

    def test_part_of_a_step_loses_its_spaces_and_backslashes(self) -> None:
        assert [value(f"step_part('{part}')") for part in (" a b ", r"a\|b", r"a\\b", "")] == ["a b", "a|b", r"a\b", ""]
