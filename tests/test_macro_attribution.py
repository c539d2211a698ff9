"""The macro attribution: who is credited with a conversion. Moments are minutes after noon of 2026-11-23, UTC."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from pipeline.config import load_settings
from tests.lake_rows import Row, at, event, purchase
from tests.macro_calls import ask
from tests.message_rows import mail

DAY = "'2026-11-23', '2026-11-23'"
WEEK = 7 * 24 * 60


def opened(campaign: str, minute: float, endpoint: str = "phone-1", **given: Any) -> dict[str, Any]:
    """A push of a campaign that was opened."""
    ids = {"campaign_id": campaign, "campaign_activity_id": f"run-of-{campaign}", "treatment_id": "0", "channel": "PUSH"}
    return event(**({"event_type": "_campaign.opened_notification", "endpoint_id": endpoint, "event_timestamp": at(minute)} | ids | given))


def came(minute: float, source: str | None = None, endpoint: str = "phone-1", **given: Any) -> dict[str, Any]:
    """A session's start."""
    attributes = {} if source is None else {"utm_source": source}
    return event(event_type="_session.start", endpoint_id=endpoint, event_timestamp=at(minute), attributes=attributes, **given)


def bought(minute: float, endpoint: str = "phone-1", **given: Any) -> dict[str, Any]:
    """The conversion: it is no activity here, so that no session of its own stands between it and its touches."""
    return event(event_type="_journey.goal", endpoint_id=endpoint, event_timestamp=at(minute), **given)


def credits(events: Sequence[Row], model: str = "last", more: str = "") -> dict[tuple[str, str | None], float]:
    """The conversions that each source is credited with, where it is with any."""
    sql = f"select source_kind, source, conversion_count from attribution('_journey.goal', {DAY}, model := '{model}'{more})"
    return {(kind, source): count for kind, source, count in ask(sql, events) if count}


# Campaign a, a session from a search, campaign b, a direct session, then the conversion; hours lie between, so no session is a message's.
FOUR = [opened("a", -600), came(-480, "search"), opened("b", -360), came(-240), bought(0)]
A, SEARCH, B, DIRECT, NONE = ("campaign", "a"), ("session", "search"), ("campaign", "b"), ("direct", None), ("none", None)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("first", {A: 1.0}),
        ("last", {DIRECT: 1.0}),
        ("last_non_direct", {B: 1.0}),
        ("linear", {A: 0.25, SEARCH: 0.25, B: 0.25, DIRECT: 0.25}),
        ("position", {A: 0.4, SEARCH: 0.1, B: 0.1, DIRECT: 0.4}),
    ],
)
def test_each_model_shares_one_conversion_of_four_touches(model: str, expected: dict[tuple[str, str | None], float]) -> None:
    assert credits(FOUR, model) == pytest.approx(expected)


def test_position_of_one_touch_is_all_and_of_two_is_half_each() -> None:
    assert credits([opened("a", -60), bought(0)], "position") == {A: 1.0}
    assert credits([opened("a", -60), opened("b", -50), bought(0)], "position") == {A: 0.5, B: 0.5}


def test_last_non_direct_is_direct_where_nothing_else_is() -> None:
    assert credits([came(-240), bought(0)], "last_non_direct") == {DIRECT: 1.0}


def test_conversion_without_a_touch_is_credited_to_none() -> None:
    assert credits([bought(0)]) == {NONE: 1.0}


def test_touch_at_exactly_the_windows_begin_counts_and_a_millisecond_earlier_does_not() -> None:
    assert credits([opened("a", -WEEK), bought(0)]) == {A: 1.0}
    early = opened("a", 0, event_timestamp=at(-WEEK, millis=-1))
    assert credits([early, bought(0)]) == {NONE: 1.0}
    assert credits([opened("a", -61), bought(0)], more=", within := '1 hour'") == {NONE: 1.0}


def test_touch_at_the_conversions_moment_counts_and_a_later_one_does_not() -> None:
    assert credits([opened("a", 0), bought(0)]) == {A: 1.0}
    assert credits([opened("a", 1), bought(0)]) == {NONE: 1.0}


def test_session_within_the_gap_after_a_message_is_that_messages() -> None:
    assert credits([opened("a", -60), came(-30), bought(0)]) == {A: 1.0}
    assert credits([opened("a", -60), came(-29.9), bought(0)]) == {DIRECT: 1.0}


def test_mail_that_a_machine_opened_touched_nobody() -> None:
    # Opened a second after it was sent, which no person does; clicked an hour later.
    machine = mail("open", 1, campaign_id="a", endpoint_id="phone-1")
    assert credits([mail("send", campaign_id="a", endpoint_id="phone-1"), machine, bought(120)]) == {NONE: 1.0}
    click = mail("click", 3600, campaign_id="a", endpoint_id="phone-1")
    assert credits([machine, click, bought(120)]) == {A: 1.0}


def test_mail_to_an_address_is_credited_with_what_the_user_buys_on_the_phone() -> None:
    events = [opened("a", -60, endpoint="mail-1", user_id="ann"), bought(0, user_id="ann")]
    assert credits(events) == {A: 1.0}
    assert credits(events, more=", subject := 'endpoint'") == {NONE: 1.0}


def test_purchase_that_names_no_user_is_of_the_one_whom_the_phone_named_last() -> None:
    # The mail is ann's by its address; on the phone she logged in two hours before, and the purchase does not name her.
    login = event(event_type="_journey.login", endpoint_id="phone-1", user_id="ann", event_timestamp=at(-120))
    events = [opened("a", -60, endpoint="mail-1", user_id="ann"), bought(0)]
    assert credits([*events, login]) == {A: 1.0}
    assert credits(events) == {NONE: 1.0}


def test_journeys_and_messages_of_neither_are_sources_too() -> None:
    ids: dict[str, Any] = {"campaign_id": None, "campaign_activity_id": None, "event_type": "_journey.opened_notification"}
    journey = opened("", -60, **(ids | {"journey_id": "welcome", "journey_run_id": "r", "journey_activity_id": "x"}))
    assert credits([journey, bought(0)]) == {("journey", "welcome"): 1.0}
    assert credits([opened("", -60, **(ids | {"message_id": "m"})), bought(0)]) == {("message", "PUSH"): 1.0}


def test_value_is_shared_as_the_conversions_are() -> None:
    # 2 x 30 of the purchase at noon, half each; 15 of the next day is not of these days. A purchase is activity: its own session is direct.
    events = [opened("a", -60), came(-20), purchase(30, 2, event_timestamp=at(0)), purchase(15, event_timestamp=at(days=1))]
    sql = f"select source_kind, source, conversion_count, value from attribution('_monetization.purchase', {DAY}, model := 'linear', value := "
    assert ask(f"{sql}'revenue')", events) == [("campaign", "a", 0.5, 30.0), ("direct", None, 0.5, 30.0)]
    assert ask(f"{sql}'_item_price')", events) == [("campaign", "a", 0.5, 15.0), ("direct", None, 0.5, 15.0)]


@pytest.mark.parametrize("model", ["first", "last", "last_non_direct", "linear", "position"])
def test_shares_add_up_to_the_conversions(model: str) -> None:
    events = [*FOUR, bought(1), bought(0, endpoint="phone-2"), opened("b", -5), came(-3, "search", endpoint="phone-2")]
    assert sum(credits(events, model).values()) == pytest.approx(3)


def test_touched_count_is_of_conversions_whoever_is_credited() -> None:
    sql = f"select source, touched_count from attribution('_journey.goal', {DAY}) where source_kind = 'campaign' order by source"
    assert ask(sql, [*FOUR, opened("a", -5)]) == [("a", 1), ("b", 1)]


def test_apps_are_told_apart() -> None:
    events = [opened("a", -60), bought(0, app_id="blog")]
    assert credits(events) == {NONE: 1.0}
    assert credits(events, more=", app := 'shop'") == {}


def test_empty_lake_has_no_sources() -> None:
    assert credits([]) == {}


def test_wrong_arguments_are_errors_that_say_what_was_expected() -> None:
    for call, expected in {
        f"'buy', {DAY}, model := 'best'": "model is 'best'; expected one of first, last, last_non_direct, linear, position",
        f"'buy', {DAY}, within := '-1 day'": "within",
        f"'buy', {DAY}, within := interval '1 microsecond'": "within is .*at least a millisecond",
        f"'buy', {DAY}, subject := 'device'": "subject is 'device'",
        "'buy', '2026-11-24', '2026-11-23'": "from_date",
        f"'', {DAY}": "cannot be read",
    }.items():
        with pytest.raises(duckdb.Error, match=expected):
            ask(f"from attribution({call})")


def test_conversions_of_the_day_count_in_the_zones_that_are_furthest_away_and_so_do_opens_of_old_mails() -> None:
    """Files of days that are further away are not read: a bound on event_timestamp, which of an e-mail's event is when it was sent."""
    for zone, first, last in (("Pacific/Kiritimati", at(-26 * 60), at(-2 * 60)), ("Etc/GMT+12", at(0), at(24 * 60))):
        # The 23rd begins fourteen hours before that of UTC, and twelve after it.
        moments = [first, last - timedelta(milliseconds=1), last, first - timedelta(milliseconds=1)]
        events = [event(event_type="_journey.goal", event_timestamp=moment) for moment in moments]
        sql = f"select conversion_count from attribution('_journey.goal', {DAY})"
        assert ask(sql, events, load_settings(app_zones={"shop": zone})) == [(2,)]
    # Sent thirty days before noon of the 23rd, opened then; and read through a backslash that means nothing.
    old = [mail("open", 30 * 86400, event_timestamp=at(days=-30))]
    for step in ("_email.open", r"\_email.open", " _email.open "):
        assert ask(f"select sum(conversion_count) from attribution('{step}', {DAY})", old) == [(1,)]


def test_an_old_mail_that_is_opened_is_a_conversion_whatever_the_case_of_its_type() -> None:
    old = {**mail("open", 30 * 86400, event_timestamp=at(days=-30)), "event_type": "_Email.Open"}
    assert ask(f"select conversion_count from attribution('_Email.Open', {DAY})", [old]) == [(1,)]
