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
            ("interval '-1 day'", "'-1 day'"),
            ("'1 month -31 days'", "'1 month -31 days'"),
        ],
    )
    def test_what_is_no_length_of_time_is_refused_and_a_number_has_no_unit(self, given: str, shown: str) -> None:
        message = f"within is {shown}; expected a length of time above zero, for example interval '1 day'."
        assert refused(f"check_interval({given}, 'within')") == message

    def test_shortest_is_a_microsecond(self) -> None:
        assert value("check_interval('1 microsecond', 'within')") == timedelta(microseconds=1)


class TestZones:
    @pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
    def test_zone_that_exists_is_taken(self, zone: str) -> None:
        assert value(f"check_zone('{zone}', 'zone')") == zone

    def test_zone_that_does_not_exist_is_refused_with_the_nearest(self) -> None:
        assert refused("check_zone('Europe/Berln', 'zone')") == (
            "zone is 'Europe/Berln'; expected a time zone that exists, for example 'Europe/Berlin'."
        )
        assert refused("check_zone(null, 'zone')").startswith("zone is null; expected a time zone that exists")

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
