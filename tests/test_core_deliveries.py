"""core.deliveries: one row per message and endpoint, each moment the first of its kind, worked out by hand."""

import pytest

from tests.lake_rows import at, event
from tests.message_rows import RUN, ask, decision, mail, text


def test_mail_s_life_is_one_row_with_the_moments_of_arrival() -> None:
    # Everything bears noon, the send, as event_timestamp; the moments are the arrivals.
    events = [mail("send", 0.4), mail("delivered", 2), mail("open", 60), mail("open", 120), mail("click", 130)]
    events += [mail("unsubscribe", 140), mail("complaint", 150)]
    sql = """
        select channel, message_key, endpoint_id, sent_at, delivered_at, opened_at, open_count, clicked_at, click_count,
            opted_out_at, complained_at, bounced_at, outcome
        from core.deliveries
    """
    moments = (at(), at(0, 2000), at(1), 2, at(0, 130_000), 1, at(0, 140_000), at(0, 150_000), None)
    assert ask(sql, events) == [("EMAIL", "message:m1", "mail-1", *moments, "delivered")]


def test_decision_and_what_followed_are_one_row_with_the_user_that_only_the_decision_names() -> None:
    events = [decision("EMAIL", endpoint_id="mail-1", user_id="ann"), mail("send", 1, **RUN), mail("delivered", 2, **RUN)]
    sql = "select user_id, message_id, campaign_id, treatment_id, send_status, decided_at, delivered_at from core.deliveries"
    assert ask(sql, events) == [("ann", "m1", "c1", "0", "SUCCESS", at(), at(0, 2000))]


def test_two_mails_of_one_run_to_one_endpoint_are_two_and_the_decision_is_of_the_first() -> None:
    first = [mail("send", 1, **RUN), mail("delivered", 2, **RUN), mail("open", 60, **RUN)]
    second = [mail(kind, 1, message_id="m0", event_timestamp=at(30), **RUN) for kind in ("send", "delivered")]
    decided = decision("EMAIL", endpoint_id="mail-1", user_id="ann")
    sql = "select message_key, message_id, user_id, sent_at, open_count from core.deliveries order by sent_at"
    # m1 was sent at noon, m0 half an hour later: the order is that of the sends, not of the ids.
    assert ask(sql, [*second, *first, decided]) == [
        ("run:run-1", "m1", "ann", at(), 1),
        ("run:run-1:message:2", "m0", None, at(30), 0),
    ]
    # The controls: one mail is the run's; another endpoint has a first message of its own; a decision told twice is no message.
    assert len(ask(sql, [*first, decided, decision("EMAIL", endpoint_id="mail-1")])) == 1
    other = [mail("send", 1, message_id="m2", endpoint_id="mail-2", **RUN)]
    assert [row[0] for row in ask(sql, [*first, *other])] == ["run:run-1", "run:run-1"]


def test_answer_that_opts_out_of_a_run_s_text_is_of_that_text_whatever_its_own_id() -> None:
    answer = text("OPTOUT", 150, message_id="z9", attributes={"number_of_message_parts": "3"}, **RUN)
    sql = "select message_key, message_id, sent_at, opted_out_at, opt_out_count, parts from core.deliveries order by 1"
    assert ask(sql, [text("SUCCESS", 5, **RUN), answer]) == [("run:run-1", "t1", at(0, 5000), at(2.5), 1, 2)]
    # Of two texts of the run it is the first one's.
    second = text("SUCCESS", 60, message_id="t2", **RUN)
    assert ask(sql, [text("SUCCESS", 5, **RUN), second, answer]) == [
        ("run:run-1", "t1", at(0, 5000), at(2.5), 1, 2),
        ("run:run-1:message:2", "t2", at(1), None, 0, 2),
    ]
    # An e-mail's opt-out bears the id of the e-mail.
    mails = [mail("send", **RUN), mail("unsubscribe", 60, message_id="m2", **RUN)]
    assert [row[:2] for row in ask(sql, mails)] == [("run:run-1", "m1"), ("run:run-1:message:2", "m2")]


@pytest.mark.parametrize("status", ["HOLDOUT", "DAILY_CAP", "QUIET_TIME", "FAILURE"])
@pytest.mark.parametrize("channel", ["EMAIL", "PUSH"])
def test_message_that_was_held_is_a_row_that_was_never_sent(channel: str, status: str) -> None:
    found = ask("select send_status, sent_at, delivered_at, outcome from core.deliveries", [decision(channel, status)])
    assert found == [(status, None, None, "held")]


def test_mail_that_is_decided_and_not_sent_yet_is_accepted() -> None:
    assert ask("select sent_at, outcome from core.deliveries", [decision("EMAIL")]) == [(None, "accepted")]


@pytest.mark.parametrize("channel", ["PUSH", "CUSTOM", "VOICE"])
def test_what_is_handed_over_counts_as_delivered_where_nothing_more_is_ever_known(channel: str) -> None:
    assert ask("select sent_at, delivered_at, outcome from core.deliveries", [decision(channel)]) == [(at(), at(), "delivered")]


def test_push_is_received_and_opened() -> None:
    events = [decision("PUSH"), event(event_type="_campaign.received_background", event_timestamp=at(1), channel="PUSH", **RUN)]
    events += [event(event_type="_campaign.opened_notification", event_timestamp=at(9), channel="PUSH", **RUN)]
    sql = "select sent_at, delivered_at, received_at, opened_at, open_count, machine_open_count from core.deliveries"
    assert ask(sql, events) == [(at(), at(), at(1), at(9), 1, 0)]


def test_message_that_bounced_softly_and_was_delivered_afterwards_has_both_and_is_delivered() -> None:
    events = [mail("send"), mail("softbounce", 10), mail("delivered", 300)]
    sql = "select bounced_at, bounce_type, delivered_at, outcome from core.deliveries"
    assert ask(sql, events) == [(at(0, 10_000), "soft", at(5), "delivered")]


def test_message_that_was_taken_and_came_back_is_bounced() -> None:
    events = [mail("send"), mail("delivered", 10), mail("hardbounce", 300)]
    sql = "select bounced_at, bounce_type, delivered_at, outcome, refusal_reason from core.deliveries"
    assert ask(sql, events) == [(at(5), "hard", at(0, 10_000), "bounced", "General")]


def test_soft_bounce_before_a_hard_one_is_a_hard_bounce() -> None:
    assert ask("select bounced_at, bounce_type from core.deliveries", [mail("hardbounce", 20), mail("softbounce", 10)]) == [
        (at(0, 10_000), "hard")
    ]


def test_mail_of_which_only_the_open_is_known_was_sent_when_it_says() -> None:
    assert ask("select sent_at, delivered_at, outcome from core.deliveries", [mail("open", 600)]) == [(at(), None, "sent")]


def test_mail_that_could_not_be_written_was_not_sent() -> None:
    assert ask("select sent_at, rejected_at, outcome from core.deliveries", [mail("rendering_failure", 1)]) == [
        (None, at(0, 1000), "rejected")
    ]


def test_rejected_mail_was_sent() -> None:
    assert ask("select sent_at, outcome from core.deliveries", [mail("send"), mail("rejected", 1)]) == [(at(), "rejected")]


def test_order_of_arrival_changes_nothing() -> None:
    events = [mail("open", 60), mail("delivered", 2), mail("send"), mail("click", 70)]
    assert ask("from core.deliveries", events) == ask("from core.deliveries", events[::-1])


@pytest.mark.parametrize(
    ("kinds", "outcome", "bounce_type", "reason"),
    [
        (("delivered", "hardbounce"), "bounced", "hard", "General"),
        (("delivered", "softbounce"), "bounced", "soft", "MailboxFull"),
        (("softbounce", "hardbounce"), "bounced", "hard", "General"),
        (("delivered", "rejected"), "rejected", None, "Bad content"),
    ],
)
def test_of_two_words_at_one_moment_the_one_that_took_the_mail_back_is_the_last(
    kinds: tuple[str, str], outcome: str, bounce_type: str | None, reason: str
) -> None:
    # E-mails of archives have no arrival: all of an e-mail's facts are then of the moment when it was sent.
    events = [mail(kind, arrival_timestamp=None) for kind in kinds]
    sql = "select outcome, bounce_type, refusal_reason from core.deliveries"
    assert ask(sql, events) == ask(sql, events[::-1]) == [(outcome, bounce_type, reason)]


def test_of_two_decisions_or_two_words_of_a_carrier_at_one_moment_the_order_of_records_decides_nothing() -> None:
    decisions = [decision("EMAIL", "SUCCESS"), decision("EMAIL", "HOLDOUT")]
    sql = "select send_status, outcome from core.deliveries"
    assert ask(sql, decisions) == ask(sql, decisions[::-1]) == [("SUCCESS", "accepted")]
    told = [text("BUFFERED", attributes={"record_status": "PENDING"}), text("SUCCESS")]
    sql = "select record_status from core.deliveries"
    assert ask(sql, told) == ask(sql, told[::-1]) == [("DELIVERED",)]


def test_the_same_open_twice_at_one_moment_counts_twice_and_is_one_row() -> None:
    opens = [mail("open", 60, event_id="same"), mail("open", 60, event_id="same")]
    assert ask("select opened_at, open_count from core.deliveries", opens) == [(at(1), 2)]


def test_endpoint_without_a_user_has_its_row_and_an_event_without_an_endpoint_one_as_well() -> None:
    events = [mail("send"), mail("send", endpoint_id=None), mail("open", 60, endpoint_id=None)]
    sql = "select endpoint_id, user_id, open_count from core.deliveries order by endpoint_id nulls last"
    assert ask(sql, events) == [("mail-1", None, 0), (None, None, 1)]


def test_one_message_to_two_endpoints_is_two_rows() -> None:
    events = [mail("send"), mail("open", 60), mail("send", endpoint_id="mail-2")]
    assert ask("select endpoint_id, open_count from core.deliveries order by 1", events) == [("mail-1", 1), ("mail-2", 0)]


def test_text_is_sent_when_it_is_buffered_and_priced_when_it_is_told_of() -> None:
    events = [
        decision("SMS", endpoint_id="sms-1"),
        text("BUFFERED", 1, **RUN),
        text("SUCCESS", 90, 645.0, **RUN),
        text("OPTOUT", 150, **RUN),
    ]
    sql = "select sent_at, delivered_at, opted_out_at, price_millicents, parts, country, record_status, outcome from core.deliveries"
    assert ask(sql, events) == [(at(0, 1000), at(1.5), at(2.5), 645.0, 2, "US", "DELIVERED", "delivered")]


def test_text_that_failed_was_sent_and_says_why() -> None:
    failed = text("FAILURE", 90, 645.0, attributes={"record_status": "UNREACHABLE"})
    sql = "select sent_at, delivered_at, failed_at, record_status, outcome, refusal_reason from core.deliveries"
    assert ask(sql, [failed]) == [(at(1.5), None, at(1.5), "UNREACHABLE", "failed", "UNREACHABLE")]


def test_in_app_message_that_is_displayed_is_sent_and_delivered() -> None:
    ids = {"campaign_id": "c9", "channel": "IN_APP", "session_id": "s1"}
    events = [
        event(event_type="_inapp.message_displayed", **ids),
        event(event_type="_inapp.message_dismissed", event_timestamp=at(1), **ids),
    ]
    sql = "select sent_at, delivered_at, clicked_at, dismissed_at, outcome from core.deliveries"
    assert ask(sql, events) == [(at(), at(), None, at(1), "delivered")]
