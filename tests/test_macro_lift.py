"""The macro lift: treatment against holdout. Moments are minutes after noon of 2026-11-23, UTC."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from tests.lake_rows import Row, at, event
from tests.macro_calls import ask
from tests.message_rows import mail

WEEK = 7 * 24 * 60


def decided(endpoint: str, status: str, minute: float = 0, treatment: str = "0", **given: Any) -> dict[str, Any]:
    """The decision of campaign autumn about an endpoint."""
    return event(
        event_type="_campaign.send",
        endpoint_id=endpoint,
        campaign_id="autumn",
        treatment_id=treatment,
        attributes={"campaign_send_status": status},
        event_timestamp=at(minute),
        **given,
    )


def bought(endpoint: str, minute: float = 1, **given: Any) -> dict[str, Any]:
    return event(event_type="buy", endpoint_id=endpoint, event_timestamp=at(minute), **given)


def group(status: str, total: int, converted: int) -> list[dict[str, Any]]:
    """So many endpoints, of which so many buy."""
    names = [f"{status}-{number}" for number in range(total)]
    return [*(decided(name, status) for name in names), *(bought(name) for name in names[:converted])]


def counts(events: Sequence[Row], more: str = "") -> tuple[Any, ...]:
    """Treated, of them converted, held out, of them converted."""
    columns = "treated_count, treated_converted_count, holdout_count, holdout_converted_count"
    (row,) = ask(f"select {columns} from lift('autumn', 'buy'{more}) where treatment_id is null", events)
    return row


def test_interval_is_that_of_newcombes_example() -> None:
    # Newcombe 1998, table II, example (a): 56 of 70 against 48 of 80, method 10: 0.2000, 0.0524 to 0.3339.
    events = [*group("SUCCESS", 70, 56), *group("HOLDOUT", 80, 48)]
    sql = "select treated_rate, holdout_rate, lift, round(lift_low, 4), round(lift_high, 4), lift_ratio, is_significant from lift('autumn', 'buy')"
    rows = ask(sql, events)
    assert rows[0] == (0.8, 0.6, pytest.approx(0.2), 0.0524, 0.3339, pytest.approx(1 / 3), True)
    # There is one treatment: all of them is the same.
    assert rows[1] == rows[0]


def test_a_rate_has_wilsons_interval() -> None:
    # 10 of 100: (10 + 1.9207) / 103.8415 = 0.1148, and to either side 1.96 x sqrt(9 + 0.9604) / 103.8415 = 0.0596.
    (row,) = ask(
        "select round(treated_rate_low, 4), round(treated_rate_high, 4) from lift('autumn', 'buy') limit 1", group("SUCCESS", 100, 10)
    )
    assert row == (0.0552, 0.1744)


def test_a_difference_that_chance_explains_is_not_significant() -> None:
    events = [*group("SUCCESS", 10, 6), *group("HOLDOUT", 10, 4)]
    assert ask("select lift, is_significant from lift('autumn', 'buy') limit 1", events) == [(pytest.approx(0.2), False)]


def test_conversion_at_exactly_the_windows_end_counts_and_a_millisecond_later_does_not() -> None:
    assert counts([decided("a", "SUCCESS"), bought("a", WEEK)]) == (1, 1, 0, 0)
    late = event(event_type="buy", endpoint_id="a", event_timestamp=at(WEEK, millis=1))
    assert counts([decided("a", "SUCCESS"), late]) == (1, 0, 0, 0)


def test_conversion_before_or_at_the_decision_is_none() -> None:
    assert counts([decided("a", "SUCCESS"), bought("a", 0), bought("a", -1)]) == (1, 0, 0, 0)


def test_conversion_counts_once() -> None:
    assert counts([decided("a", "SUCCESS"), bought("a", 1), bought("a", 2)]) == (1, 1, 0, 0)


def test_whom_a_cap_kept_from_it_is_in_no_group() -> None:
    assert counts([decided("a", "DAILY_CAP"), bought("a"), decided("b", "HOLDOUT"), bought("b")]) == (0, 0, 1, 1)


def test_cap_is_passed_over_and_the_next_decision_says_the_group() -> None:
    # The cap of noon decides nothing: she is treated at 12:10, so that what she buys at 12:05 is none of it.
    cap, treated, held = decided("a", "DAILY_CAP", 0), decided("a", "SUCCESS", 10), decided("a", "HOLDOUT", 10)
    assert counts([cap, treated, bought("a", 20)]) == (1, 1, 0, 0)
    assert counts([cap, treated, bought("a", 5)]) == (1, 0, 0, 0)
    assert counts([cap, held, bought("a", 20)]) == (0, 0, 1, 1)
    # And one that comes later takes nothing away.
    assert counts([decided("a", "SUCCESS", 0), decided("a", "DAILY_CAP", 10), bought("a", 20)]) == (1, 1, 0, 0)


def test_of_decisions_at_one_moment_holdout_counts_and_then_the_first_treatment() -> None:
    treated, held = decided("a", "SUCCESS"), decided("a", "HOLDOUT")
    assert counts([treated, held, bought("a")]) == counts([held, treated, bought("a")]) == (0, 0, 1, 1)
    # A millisecond decides before that.
    assert counts([treated, decided("a", "HOLDOUT", 1 / 60_000), bought("a")]) == (1, 1, 0, 0)
    sql = "select treatment_id from lift('autumn', 'buy') where treatment_id is not null"
    two = [decided("a", "SUCCESS", treatment="1"), decided("a", "SUCCESS", treatment="0")]
    assert ask(sql, two) == ask(sql, two[::-1]) == [("0",)]


def test_first_decision_says_the_group() -> None:
    events = [decided("a", "HOLDOUT", 0), decided("a", "SUCCESS", 10), bought("a", 20)]
    assert counts(events) == (0, 0, 1, 1)


def test_user_who_gets_a_mail_and_buys_on_the_phone_converted() -> None:
    events = [decided("mail", "SUCCESS", user_id="ann"), bought("phone", user_id="ann")]
    assert counts(events) == (1, 1, 0, 0)
    assert counts(events, ", subject := 'endpoint'") == (1, 0, 0, 0)


def test_each_treatment_has_a_row_against_the_same_holdout() -> None:
    events = [
        decided("a", "SUCCESS", treatment="0"),
        decided("b", "SUCCESS", treatment="1"),
        bought("b"),
        decided("c", "HOLDOUT", treatment="1"),
    ]
    sql = "select treatment_id, treated_count, treated_converted_count, holdout_count from lift('autumn', 'buy')"
    assert ask(sql, events) == [(None, 2, 1, 1), ("0", 1, 0, 1), ("1", 1, 1, 1)]


def test_decision_or_purchase_that_names_no_user_is_of_the_one_whom_the_endpoint_named_last() -> None:
    # ann buys on the phone that the decision names without her; bob's mail is decided for an address, and he buys on his phone before he logs in.
    events = [decided("phone-1", "SUCCESS"), bought("phone-1", user_id="ann")]
    assert counts(events) == (1, 1, 0, 0)
    bob = [decided("mail-2", "SUCCESS", user_id="bob"), bought("phone-2"), event(event_type="login", endpoint_id="phone-2", user_id="bob")]
    assert counts([*events, *bob]) == (2, 2, 0, 0)
    # The controls: a phone that names somebody else, and endpoints that are told apart.
    other = [*bob, event(event_type="login", endpoint_id="phone-2", user_id="cid", event_timestamp=at(1))]
    assert counts(other) == (1, 0, 0, 0)
    assert counts(bob, ", subject := 'endpoint'") == (1, 0, 0, 0)


def test_days_and_app_are_those_of_the_decision() -> None:
    events = [decided("a", "SUCCESS"), decided("b", "SUCCESS", -24 * 60), decided("c", "SUCCESS", app_id="blog")]
    assert counts(events) == (3, 0, 0, 0)
    assert counts(events, ", from_date := '2026-11-23'") == (2, 0, 0, 0)
    assert counts(events, ", to_date := '2026-11-22'") == (1, 0, 0, 0)
    assert counts(events, ", app := 'blog'") == (1, 0, 0, 0)


def test_other_campaigns_and_endpoints_without_an_id_are_not_counted() -> None:
    other = event(event_type="_campaign.send", campaign_id="spring", attributes={"campaign_send_status": "SUCCESS"})
    assert counts([other, decided("", "SUCCESS")]) == (0, 0, 0, 0)


def test_empty_lake_is_one_row_of_zeros() -> None:
    assert ask("from lift('autumn', 'buy')") == [(None, 0, 0, None, None, None, 0, 0, None, None, None, None, None, None, None, None)]


def test_campaign_that_no_event_names_is_refused_with_the_nearest() -> None:
    events = [
        decided("a", "SUCCESS"),
        mail("open", campaign_id="spring"),
        decided("b", "SUCCESS", app_id="blog") | {"campaign_id": "winter"},
    ]
    for columns in ("*", "treated_count"):
        with pytest.raises(
            duckdb.InvalidInputException, match=r"campaign_id is 'autum'; no event names that campaign\..* the nearest are autumn, "
        ):
            ask(f"select {columns} from lift('autum', 'buy')", events)
    with pytest.raises(duckdb.InvalidInputException, match=r"no event of shop names that campaign\..* the nearest are spring, autumn\."):
        ask("from lift('winter', 'buy', app := 'shop')", events)
    # Known, though never decided about, or not on the days asked for.
    assert ask("select treated_count from lift('spring', 'buy')", events) == [(0,)]
    assert ask("select treated_count from lift('autumn', 'buy', from_date := '2027-01-01')", events) == [(0,)]
    # Where no event names a campaign nothing can be said.
    assert ask("select treated_count from lift('autum', 'buy')", [bought("a")]) == [(0,)]


def test_wrong_arguments_are_errors_that_say_what_was_expected() -> None:
    for call, expected in {
        "'', 'buy'": "campaign_id is empty",
        "'autumn', '[x=1]'": "cannot be read",
        "'autumn', 'buy', within := interval '-1 day'": "within",
        "'autumn', 'buy', within := interval '1 microsecond'": "within is .*at least a millisecond",
        "'autumn', 'buy', from_date := '2026-11-24', to_date := '2026-11-23'": "from_date",
        "'autumn', 'buy', subject := 'device'": "subject is 'device'",
    }.items():
        with pytest.raises(duckdb.Error, match=expected.replace("[", r"\[")):
            ask(f"from lift({call})")


def test_days_of_sending_leave_no_conversion_out_up_to_the_windows_end() -> None:
    # Decided at the last millisecond of the 23rd. A month is thirty days, of which the calendar's February has two less.
    late = 12 * 60 - 1 / 60_000
    events = [
        decided("a", "SUCCESS", late),
        bought("a", late + 30 * 24 * 60),
        decided("b", "SUCCESS", late),
        bought("b", late + 30 * 24 * 60 + 1),
    ]
    days = ", from_date := '2026-11-23', to_date := '2026-11-23'"
    assert counts(events, f"{days}, within := interval '1 month'") == counts(events, f"{days}, within := '30 days'") == (2, 1, 0, 0)
    february = [event(**{**one, "event_timestamp": one["event_timestamp"] + timedelta(days=70)}) for one in events]
    assert counts(february, ", from_date := '2027-02-01', to_date := '2027-02-01', within := interval '1 month'") == (2, 1, 0, 0)


@pytest.mark.parametrize("kind", ["_email.open", "_Email.Open"])
def test_an_old_mail_that_is_opened_after_the_decision_is_a_conversion(kind: str) -> None:
    opened = {**mail("open", 30 * 86400 + 60, event_timestamp=at(days=-30)), "event_type": kind}
    sql = f"select treated_converted_count from lift('autumn', '{kind}', '2026-11-23', '2026-11-23') where treatment_id is null"
    assert ask(sql, [decided("mail-1", "SUCCESS"), opened]) == [(1,)]
