"""retention: of those who started in a period, who came back; numbers that a hand can count."""

from datetime import date

import pytest

from pipeline.config import load_settings
from tests.macro_calls import ask, nov, on, utc

GRID = "select cohort_date, period_no, cohort_size, returned_count from retention"


def test_a_cohort_comes_back_day_by_day() -> None:
    # The 23rd is a's and b's first day, the 24th is c's. Of the two, both are back on the 24th, none on the 25th, a on the 26th.
    events = [*on("a", "2026-11-23", "2026-11-24", "2026-11-26"), *on("b", "2026-11-23", "2026-11-24"), *on("c", "2026-11-24")]
    assert ask("from retention('2026-11-23', '2026-11-26', today := '2026-11-27')", events) == [
        (nov(23), 0, nov(23), 2, 2, 1.0, True),
        (nov(23), 1, nov(24), 2, 2, 1.0, True),
        (nov(23), 2, nov(25), 2, 0, 0.0, True),
        (nov(23), 3, nov(26), 2, 1, 0.5, True),
        (nov(24), 0, nov(24), 1, 1, 1.0, True),
        (nov(24), 1, nov(25), 1, 0, 0.0, True),
        (nov(24), 2, nov(26), 1, 0, 0.0, True),
    ]


class TestBorders:
    @pytest.mark.parametrize(
        ("back", "period_no"),
        [
            ("2026-11-29T23:59:59.999", 0),  # the last moment of the week that begins on Monday the 23rd
            ("2026-11-30", 1),  # the first of the next
            ("2026-12-06T23:59:59.999", 1),
            ("2026-12-07", 2),
        ],
    )
    def test_return_at_the_first_and_the_last_moment_of_a_week_is_in_that_week(self, back: str, period_no: int) -> None:
        rows = ask(
            f"{GRID}('2026-11-23', '2026-12-13', today := '2026-12-14', period := 'week', start_event := 'start', return_event := 'back')",
            [*on("a", "2026-11-29T23:59", event_type="start"), *on("a", back, event_type="back")],
        )
        assert [no for _, no, _, returned in rows if returned] == [period_no]

    @pytest.mark.parametrize(
        ("back", "period_no"), [("2026-01-31T23:59:59.999", 0), ("2026-02-28", 1), ("2026-03-01", 2), ("2026-03-31", 2)]
    )
    def test_months_are_those_of_the_calendar_whatever_their_length(self, back: str, period_no: int) -> None:
        rows = ask(
            f"{GRID}('2026-01-01', '2026-03-31', period := 'month', start_event := 'start', return_event := 'back')",
            [*on("a", "2026-01-31", event_type="start"), *on("a", back, event_type="back")],
        )
        assert [no for _, no, _, returned in rows if returned] == [period_no]
        assert len(rows) == 3

    def test_weeks_and_months_count_on_over_the_years_end(self) -> None:
        events = on("a", "2026-12-31", "2027-01-01")
        weeks = ask(
            "select cohort_date, period_no from retention('2026-12-28', '2027-01-05', period := 'week', today := '2027-02-01')", events
        )
        assert weeks == [(date(2026, 12, 28), 0), (date(2026, 12, 28), 1)]
        months = f"{GRID}('2026-12-01', '2027-01-31', period := 'month', today := '2027-02-01')"
        assert ask(months, events) == [(date(2026, 12, 1), 0, 1, 1), (date(2026, 12, 1), 1, 1, 1)]

    def test_day_of_25_hours_is_one_day_in_the_apps_zone(self) -> None:
        # In Berlin the 25th of October 2026 lasts from 22:00 UTC of the 24th to 23:00 UTC of the 25th.
        events = on("a", "2026-10-24T22:00", "2026-10-25T22:59:59.999") + on("b", "2026-10-24T22:00", "2026-10-25T23:00")
        call = f"{GRID}('2026-10-24', '2026-10-26', start_event := 'screen.view')"
        berlin = load_settings(app_zones={"shop": "Europe/Berlin"})
        assert ask(call, events, berlin) == [(date(2026, 10, 25), 0, 2, 2), (date(2026, 10, 25), 1, 2, 1)]
        # The control: by UTC's days both begin a day before and both are back on the next.
        assert ask(call, events)[:2] == [(date(2026, 10, 24), 0, 2, 2), (date(2026, 10, 24), 1, 2, 2)]

    def test_same_event_twice_at_one_moment_is_one_return(self) -> None:
        events = [*on("a", "2026-11-23", "2026-11-24", "2026-11-24", event_id="same")]
        assert ask(f"{GRID}('2026-11-23', '2026-11-24')", events)[1] == (nov(23), 1, 1, 1)


class TestCohorts:
    def test_first_time_is_the_first_ever_also_before_the_days_asked_for(self) -> None:
        events = [*on("old", "2026-10-01", "2026-11-23", "2026-11-24"), *on("new", "2026-11-23")]
        assert ask(f"{GRID}('2026-11-23', '2026-11-24')", events) == [(nov(23), 0, 1, 1), (nov(23), 1, 1, 0)]

    def test_recurring_puts_a_subject_into_each_period_in_which_it_started(self) -> None:
        # a on the 23rd, 24th and 25th, b on the 23rd and 25th: the 24th is a cohort of a alone, who is back on the 25th.
        events = [*on("a", "2026-11-23", "2026-11-24", "2026-11-25"), *on("b", "2026-11-23", "2026-11-25")]
        assert ask(f"{GRID}('2026-11-23', '2026-11-25', kind := 'recurring')", events) == [
            (nov(23), 0, 2, 2),
            (nov(23), 1, 2, 1),
            (nov(23), 2, 2, 2),
            (nov(24), 0, 1, 1),
            (nov(24), 1, 1, 1),
            (nov(25), 0, 2, 2),
        ]

    def test_first_cohort_is_of_the_whole_period_in_which_from_date_lies(self) -> None:
        events = [*on("monday", "2026-11-23"), *on("friday", "2026-11-27")]
        assert ask(f"{GRID}('2026-11-25', '2026-11-29', period := 'week')", events) == [(nov(23), 0, 2, 2)]

    def test_nothing_after_to_date_counts(self) -> None:
        events = [*on("a", "2026-11-23", "2026-11-27"), *on("b", "2026-11-27")]
        assert ask(f"{GRID}('2026-11-23', '2026-11-26', period := 'week', return_event := 'screen.view')", events) == [(nov(23), 0, 1, 1)]

    def test_period_in_which_nobody_started_is_no_cohort(self) -> None:
        assert ask(f"{GRID}('2026-11-20', '2026-11-23')", on("a", "2026-11-23")) == [(nov(23), 0, 1, 1)]


class TestEvents:
    def test_return_counts_from_the_moment_of_the_start_on(self) -> None:
        def returned(back: str) -> list[tuple[object, ...]]:
            events = [*on("a", "2026-11-23T12:00", event_type="sign_up"), *on("a", back, event_type="buy")]
            call = "retention('2026-11-23', '2026-11-23', start_event := 'sign_up', return_event := 'buy')"
            return ask(f"select returned_count from {call}", events)

        assert returned("2026-11-23T11:59:59.999") == [(0,)]
        assert returned("2026-11-23T12:00") == [(1,)]
        assert returned("2026-11-23T12:00:00.001") == [(1,)]

    def test_steps_may_ask_for_attributes(self) -> None:
        events = [
            *on("a", "2026-11-23", "2026-11-24", event_type="view", attributes={"category": "shoes"}),
            *on("b", "2026-11-23", event_type="view", attributes={"category": "hats"}),
            *on("a", "2026-11-25", event_type="view", attributes={"category": "hats"}),
        ]
        step = "'view[category=shoes]'"
        assert ask(f"{GRID}('2026-11-23', '2026-11-25', start_event := {step}, return_event := {step})", events) == [
            (nov(23), 0, 1, 1),
            (nov(23), 1, 1, 1),
            (nov(23), 2, 1, 0),
        ]

    def test_messages_make_nobody_come_back_unless_they_are_asked_for(self) -> None:
        events = [*on("a", "2026-11-23"), *on("a", "2026-11-24", event_type="_campaign.send")]
        assert ask(f"{GRID}('2026-11-23', '2026-11-24')", events)[1] == (nov(23), 1, 1, 0)
        assert ask(f"{GRID}('2026-11-23', '2026-11-24', return_event := '_campaign.send')", events)[1] == (nov(23), 1, 1, 1)

    def test_opened_email_counts_when_it_was_opened(self) -> None:
        # Sent on the 23rd, which is what event_timestamp says, opened on the 25th.
        opened = on("a", "2026-11-23", event_type="_email.open", arrival_timestamp=utc("2026-11-25"))
        rows = ask(f"{GRID}('2026-11-23', '2026-11-25', return_event := '_email.open')", [*on("a", "2026-11-23"), *opened])
        assert rows == [(nov(23), 0, 1, 0), (nov(23), 1, 1, 0), (nov(23), 2, 1, 1)]


class TestSubjects:
    def test_user_with_two_endpoints_is_one_and_an_endpoint_without_a_user_is_its_own(self) -> None:
        events = [
            *on("phone", "2026-11-23", user_id="ann"),
            *on("laptop", "2026-11-24", user_id="ann"),
            *on("kiosk", "2026-11-23", user_id=None),
            *on("kiosk", "2026-11-24", user_id=""),
        ]
        assert ask(f"{GRID}('2026-11-23', '2026-11-24', subject := 'user')", events) == [(nov(23), 0, 2, 2), (nov(23), 1, 2, 2)]
        # By endpoints, the phone does not come back and the laptop is new.
        assert ask(f"{GRID}('2026-11-23', '2026-11-24')", events) == [(nov(23), 0, 2, 2), (nov(23), 1, 2, 1), (nov(24), 0, 1, 1)]

    def test_user_and_endpoint_of_one_name_are_two(self) -> None:
        events = [*on("ann", "2026-11-23"), *on("phone", "2026-11-23", user_id="ann")]
        assert ask(f"{GRID}('2026-11-23', '2026-11-23', subject := 'user')", events) == [(nov(23), 0, 2, 2)]

    def test_same_endpoint_in_two_apps_is_two_and_an_app_may_be_asked_alone(self) -> None:
        events = [*on("a", "2026-11-23"), *on("a", "2026-11-23", "2026-11-24", app_id="blog")]
        assert ask(f"{GRID}('2026-11-23', '2026-11-24')", events)[1] == (nov(23), 1, 2, 1)
        assert ask(f"{GRID}('2026-11-23', '2026-11-24', app := 'shop')", events)[1] == (nov(23), 1, 1, 0)
        assert ask(f"{GRID}('2026-11-23', '2026-11-24', app := 'nobody')", events) == []

    def test_event_without_an_endpoint_has_no_subject(self) -> None:
        assert ask(f"{GRID}('2026-11-23', '2026-11-23')", [*on("", "2026-11-23", user_id="ann")]) == []


class TestCompleteness:
    def complete(self, call: str) -> list[tuple[object, ...]]:
        return ask(f"select period_date, is_complete from retention({call}, period := 'week')", on("a", "2026-11-09"))

    def test_week_is_complete_when_its_last_day_is_over(self) -> None:
        weeks = "'2026-11-09', '2026-12-31'"
        assert self.complete(f"{weeks}, today := '2026-11-22'") == [(nov(9), True), (nov(16), False)]
        # The Monday after is the first day on which the week is over; then the next one has begun.
        assert self.complete(f"{weeks}, today := '2026-11-23'") == [(nov(9), True), (nov(16), True), (nov(23), False)]

    def test_week_that_to_date_cuts_is_not_complete(self) -> None:
        assert self.complete("'2026-11-09', '2026-11-21', today := '2027-01-01'") == [(nov(9), True), (nov(16), False)]
        assert self.complete("'2026-11-09', '2026-11-22', today := '2027-01-01'") == [(nov(9), True), (nov(16), True)]

    def test_cohort_that_has_not_begun_has_no_row(self) -> None:
        assert self.complete("'2026-11-09', '2026-11-22', today := '2026-11-08'") == []
