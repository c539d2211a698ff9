"""The macros that others are made of, by themselves: whom they count, on which days, and what they say of arguments. Noon is that of Monday, 2026-11-23, UTC."""

from datetime import date
from typing import Any

import duckdb
import pytest

from pipeline.config import load_settings
from tests.lake_rows import at, event, purchase
from tests.macro_calls import ask, nov, on
from tests.macro_values import refused, value


class TestSubjects:
    @pytest.mark.parametrize(
        ("given", "subject"),
        [
            ("'endpoint', 'p', 'ann'", "endpoint:p"),
            ("'user', 'p', 'ann'", "user:ann"),
            # Without a user an endpoint is its own subject, and never the same as a user of its name.
            ("'user', 'p', ''", "endpoint:p"),
            ("'user', 'p', null", "endpoint:p"),
            ("'user', 'q', 'p'", "user:p"),
            # Nobody's, whoever it names.
            ("'user', '', 'ann'", None),
            ("'endpoint', null, 'ann'", None),
        ],
    )
    def test_subject_is_the_endpoint_or_the_user_that_it_names(self, given: str, subject: str | None) -> None:
        assert value(f"subject_key({given})") == subject

    def test_days_of_activity_are_those_of_the_zone_and_each_is_there_once(self) -> None:
        # Berlin is an hour ahead: its 23rd begins at 23:00 UTC of the 22nd, to the millisecond.
        events = [*on("a", "2026-11-22T22:59:59.999", "2026-11-22T23:00"), *on("b", "2026-11-23T12:00", "2026-11-23T22:59", user_id="ann")]
        events += [
            *on("c", "2026-11-24T12:00", event_type="_email.open"),
            *on("", "2026-11-24T12:00"),
            *on("d", "2026-11-24T12:00", app_id="x"),
        ]
        berlin = load_settings(app_zones={"shop": "Europe/Berlin"})

        def days(arguments: str = "") -> list[Any]:
            return ask(f"select subject_id, activity_date from active_days({arguments}) order by all", events, berlin)

        mine = [("endpoint:a", nov(22)), ("endpoint:a", nov(23)), ("endpoint:b", nov(23))]
        # What mails did makes nobody active, and without an endpoint nobody was there.
        assert days("app := 'shop'") == mine
        assert days() == [*mine, ("endpoint:d", nov(24))]
        assert days("date '2026-11-23', date '2026-11-23'") == mine[1:]
        assert days("to_date := date '2026-11-22'") == mine[:1]
        assert days("from_date := date '2026-11-23', app := 'shop', subject := 'user'") == [("endpoint:a", nov(23)), ("user:ann", nov(23))]

    def test_moments_of_one_quarter_of_an_hour_are_one_row_with_the_first_and_the_last(self) -> None:
        given: dict[str, Any] = {"event_type": "buy", "attributes": {"store": "Rome"}}
        events = [event(**given), event(event_timestamp=at(15, millis=-1), **given), event(event_timestamp=at(15), **given)]
        # Another store; a view; nobody.
        events += [event(event_type="buy", event_timestamp=at(5)), event(event_timestamp=at(60)), event(endpoint_id=None, **given)]
        columns = "subject_id, first_at, last_at, moment_date"
        assert ask(f"select {columns} from subject_moments('buy[store=Rome]') order by 2", events) == [
            ("endpoint:phone-1", at(0), at(15, millis=-1), nov(23)),
            ("endpoint:phone-1", at(15), at(15), nov(23)),
        ]
        # All activity: the view at 13:00 too.
        assert ask("select first_at from subject_moments() order by 1", events) == [(at(0),), (at(15),), (at(60),)]
        assert ask("select count(*) from subject_moments(from_date := date '2026-11-24')", events) == [(0,)]
        assert ask("select count(*) from subject_moments(app := 'blog')", events) == [(0,)]

    def test_purchases_are_of_their_subject_and_one_without_a_price_adds_nothing(self) -> None:
        events = [purchase(5, 2, user_id="ann"), purchase(None), purchase(3, currency="USD"), purchase(9, endpoint_id=None)]
        columns = "subject_id, purchase_date, revenue, currency"
        assert ask(f"select {columns} from subject_purchases(subject := 'user') order by revenue", events) == [
            ("endpoint:phone-1", nov(23), 0, "EUR"),
            ("endpoint:phone-1", nov(23), 3, "USD"),
            ("user:ann", nov(23), 10, "EUR"),
        ]
        assert ask("select sum(revenue), count(*) from subject_purchases(currency := 'EUR')", events) == [(10, 2)]
        assert ask("select count(*) from subject_purchases(app := 'blog')", events) == [(0,)]

    def test_an_endpoint_is_of_the_user_whom_its_events_named_last(self) -> None:
        # Ann, then bob on the 25th, then on the 26th at midnight cid: three days after the 23rd, which is more than any zone is away.
        events = [
            event(user_id="ann"),
            event(user_id="bob", event_timestamp=at(days=2)),
            event(user_id="cid", event_timestamp=at(12 * 60, days=2)),
        ]
        events += [event(user_id="", event_timestamp=at(days=9)), event(endpoint_id="phone-2"), event(endpoint_id=None, user_id="dan")]
        assert ask("from endpoint_users()", events) == [("shop", "phone-1", "cid")]
        assert ask("from endpoint_users('shop', date '2026-11-23')", events) == [("shop", "phone-1", "bob")]
        assert ask("from endpoint_users('blog')", events) == []


class TestPeriods:
    @pytest.mark.parametrize(
        ("arguments", "periods"),
        [
            # The 20th lies in the week of Monday the 16th; the week of the 30th begins today; the next has not begun.
            ("'2026-11-20', '2026-12-10', period := 'week', today := '2026-11-30'", [(nov(16), True), (nov(23), True), (nov(30), False)]),
            # Cut by the last day that is asked for, and not.
            ("'2026-11-23', '2026-11-28', period := 'week', today := '2027-01-01'", [(nov(23), False)]),
            ("'2026-11-23', '2026-11-29', period := 'week', today := '2027-01-01'", [(nov(23), True)]),
            ("'2026-11-29', '2026-12-01', period := 'month', today := '2026-12-01'", [(nov(1), True), (date(2026, 12, 1), False)]),
            ("'2026-11-22', '2026-11-23', today := '2026-11-23'", [(nov(22), True), (nov(23), False)]),
            ("'2026-11-22', '2026-11-23', today := '2026-11-21'", []),
        ],
    )
    def test_periods_that_have_begun_are_complete_when_their_last_day_is_over(self, arguments: str, periods: list[Any]) -> None:
        assert ask(f"from report_periods({arguments})") == periods

    def test_a_period_that_is_none_is_refused(self) -> None:
        with pytest.raises(duckdb.InvalidInputException, match="period is 'year'; expected one of day, week, month"):
            ask("from report_periods('2026-11-22', '2026-11-23', period := 'year')")

    @pytest.mark.parametrize("today", ["2026-11-30", "2026-11-01"])
    def test_a_subject_that_is_none_is_refused_also_before_the_first_period(self, today: str) -> None:
        with pytest.raises(duckdb.InvalidInputException, match="subject is 'device'; expected one of endpoint, user"):
            ask(f"select count(*) from report_periods('2026-11-22', '2026-11-23', today := '{today}', subject := 'device')")


class TestArguments:
    def test_a_choice_is_one_of_those_that_there_are(self) -> None:
        assert value("check_choice('week', 'period', ['day', 'week'])") == "week"
        assert refused("check_choice('year', 'period', ['day', 'week'])") == "period is 'year'; expected one of day, week."
        assert refused("check_choice(null, 'period', ['day', 'week'])") == "period is null; expected one of day, week."

    def test_breakdown_is_by_a_column_of_that_name_before_an_attribute_of_it(self) -> None:
        columns = value("breakdown_columns()")
        given = ", ".join(f"'its {column}'" for column in columns)

        def broken_down(name: str) -> Any:
            return value(f"breakdown({name}, map {{'color': 'red', 'platform': 'attribute'}}, {given})")

        assert [broken_down(f"'{column}'") for column in columns] == [f"its {column}" for column in columns]
        assert [broken_down(name) for name in ("'color'", "'size'", "null")] == ["red", None, None]

    def test_names_of_a_step_are_those_of_its_conditions(self) -> None:
        asked = value("names_asked('steps', 'buy[store=Rome|Oslo][price>=1]')")
        assert [(one["argument"], one["kind"], one["name"], one["event_types"]) for one in asked] == [
            ("steps", "attribute", "store", ["buy"]),
            ("steps", "metric", "price", ["buy"]),
        ]
        assert (value("names_asked('steps', 'buy')"), value("names_asked('steps', null)")) == ([], [])

    def test_a_name_is_known_when_an_event_of_the_type_has_it_on_whatever_day(self) -> None:
        events = [event(event_type="look"), event(event_type="look", attributes={"color": "red"}, event_timestamp=at(days=-90))]
        assert ask("from check_names(names_asked('event', 'look[color=blue]'))", events) == [(True,)]
        # Of a type that nobody sent, and of nothing asked, nothing can be said.
        assert ask("from check_names(names_asked('event', 'buy[colr=blue]'))", events) == [(True,)]
        assert ask("from check_names([])", events) == ask("from check_names(null)", events) == [(True,)]
        with pytest.raises(
            duckdb.InvalidInputException, match=r"event is 'look\[colr=blue\]'; no event look has the attribute 'colr'.*color"
        ):
            ask("from check_names(names_asked('event', 'look[colr=blue]'))", events)


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "name", "kind", "values"),
        [
            ("category=shoes|boots", "category", "in", ["shoes", "boots"]),
            ("category=", "category", "in", [""]),
            ("price>=10", "price", ">=", ["10"]),
            ("price==10", "price", "=", ["10"]),
            (r"a\=b=c", "a=b", "in", ["c"]),
        ],
    )
    def test_a_condition_is_a_name_a_comparison_and_values(self, condition: str, name: str, kind: str, values: list[str]) -> None:
        assert value(f"step_condition('{condition}', 'buy')") == {"name": name, "is": kind, "values": values}

    def test_what_is_no_condition_is_refused_with_the_step_that_it_stands_in(self) -> None:
        head = "Step 'buy[price]' has the condition [price]; expected [attribute=value|other] or [metric>=10] (== != < <= > >=)."
        assert refused("step_condition('price', 'buy[price]')") == head
        ten = "Step 's' has the condition [price>=ten]; expected a number after the comparison, or [attribute=value|other]."
        assert refused("step_condition('price>=ten', 's')") == ten

    def test_conditions_of_a_step_are_in_order_and_a_bracket_of_the_type_is_none(self) -> None:
        assert [one["name"] for one in value("step_conditions('buy[b=1][a>2][b=3]')")] == ["b", "a", "b"]
        assert [one["values"] for one in value(r"step_conditions('p\[q\][a=x\]y]')")] == [["x]y"]]
        assert value("step_conditions('buy')") == []
