"""core.message_facts and core.messages: which events are facts, which are one message's, and what a message comes to."""

from typing import Any

import pytest

from tests.lake_rows import at, event
from tests.message_rows import RUN, ask, decision, mail, text

FACTS = {
    "_email.send": "send",
    "_email.delivered": "delivered",
    "_email.open": "open",
    "_email.click": "click",
    "_email.hardbounce": "hardbounce",
    "_email.softbounce": "softbounce",
    "_email.complaint": "complaint",
    "_email.unsubscribe": "optout",
    "_email.rejected": "rejected",
    "_email.rendering_failure": "rendering_failure",
    "_SMS.BUFFERED": "buffered",
    "_SMS.SUCCESS": "delivered",
    "_SMS.FAILURE": "failure",
    "_SMS.OPTOUT": "optout",
    "_inapp.message_displayed": "displayed",
    "_inapp.message_clicked": "click",
    "_inapp.message_dismissed": "dismissed",
    "_campaign.opened_notification": "open",
    "_journey.opened_notification": "open",
    "_campaign.received_background": "received",
    "_campaign.received_foreground": "received",
}


@pytest.mark.parametrize(("event_type", "fact"), FACTS.items())
def test_each_type_of_a_message_is_a_fact_in_either_case_and_knows_its_channel(event_type: str, fact: str) -> None:
    # Sent at noon, arrived at one: of e-mails the arrival is when it happened.
    happened_at = at(60) if event_type.startswith("_email.") else at()
    events = [event(event_type=name, arrival_timestamp=at(60)) for name in (event_type, event_type.upper())]
    assert ask("select fact, channel is not null, happened_at from core.message_facts", events) == [(fact, True, happened_at)] * 2


def test_other_events_are_no_facts() -> None:
    kinds = ["screen.view", "_session.start", "email.open", "_email.opened", "_emailx.open", "_monetization.purchase"]
    assert ask("from core.message_facts", [event(event_type=kind) for kind in kinds]) == []


@pytest.mark.parametrize(
    ("channel", "status", "fact"),
    [
        ("PUSH", "SUCCESS", "send"),
        ("CUSTOM", "SUCCESS", "send"),
        ("VOICE", "SUCCESS", "send"),
        ("PUSH", "DAILY_CAP", "decision"),
        ("EMAIL", "SUCCESS", "decision"),
        ("SMS", "SUCCESS", "decision"),
    ],
)
def test_decision_is_a_send_where_nothing_else_tells_of_it(channel: str, status: str, fact: str) -> None:
    assert ask("select fact, send_status from core.message_facts", [decision(channel, status)]) == [(fact, status)]


def test_fact_of_a_mail_happens_when_it_arrives_and_knows_when_the_message_was_sent() -> None:
    opened = mail("open", 3600)
    # event_timestamp is noon, the send; the open came an hour later.
    assert ask("select happened_at, message_sent_at from core.message_facts", [opened]) == [(at(60), at())]


def test_details_come_out_of_the_facets() -> None:
    events = [mail("click", 60, "agent", link="https://x"), mail("hardbounce", 61), mail("complaint", 62), mail("rejected", 63)]
    found = ask("select reader_agent, reader_address, link, fact_reason from core.message_facts order by happened_at", events)
    assert found == [
        ("agent", "192.0.2.1", "https://x", None),
        (None, None, None, "General"),
        (None, None, None, "abuse"),
        (None, None, None, "Bad content"),
    ]


def test_broken_facets_are_a_fact_without_details() -> None:
    found = ask("select fact, reader_agent, is_machine from core.message_facts", [mail("open", 60, facets="{broken")])
    assert found == [("open", None, False)]


def test_what_follows_a_run_s_decision_is_the_same_message() -> None:
    events = [decision("EMAIL", endpoint_id="mail-1"), mail("send", **RUN), mail("open", 60, **RUN)]
    assert ask("select distinct message_key from core.message_facts", events) == [("run:run-1",)]


def test_journey_s_message_is_its_run_and_activity() -> None:
    ids: dict[str, Any] = {"journey_id": "j1", "journey_run_id": "r1", "journey_activity_id": "a1"}
    events = [
        mail("send", **ids),
        mail("send", **ids, message_id="m2", endpoint_id="mail-2"),
        mail("send", **(ids | {"journey_activity_id": "a2"})),
    ]
    assert ask("select distinct message_key from core.message_facts order by 1", events) == [("run:r1:a1",), ("run:r1:a2",)]


def test_transactional_message_is_its_id_and_without_one_its_moment_of_sending() -> None:
    events = [mail("send"), mail("open", 60), mail("send", message_id=None), mail("open", 60, message_id=None)]
    found = ask("select message_key, count(*) from core.message_facts group by 1 order by 1", events)
    # Noon of 2026-11-23 in epoch milliseconds.
    assert found == [("message:m1", 2), ("sent:1795435200000", 2)]


def test_in_app_message_is_one_a_session() -> None:
    ids = {"campaign_id": "c9", "channel": "IN_APP"}
    kinds = [("_inapp.message_displayed", "s1"), ("_inapp.message_clicked", "s1"), ("_inapp.message_displayed", "s2")]
    events = [event(event_type=kind, session_id=session, **ids) for kind, session in kinds]
    found = ask("select message_key, sent_count, clicked_count from core.messages order by 1", events)
    assert found == [("campaign:c9:s1", 1, 1), ("campaign:c9:s2", 1, 0)]


def test_run_is_one_message_to_many_endpoints() -> None:
    # Three endpoints: one read it, one bounced, one was held back by a cap.
    events = [decision("EMAIL", endpoint_id="mail-1"), mail("send", **RUN), mail("delivered", 2, **RUN), mail("open", 900, **RUN)]
    other = RUN | {"endpoint_id": "mail-2", "message_id": "m2", "treatment_id": "1"}
    events += [decision("EMAIL", **other), mail("send", **other), mail("hardbounce", 3, **other)]
    events += [decision("EMAIL", "DAILY_CAP", endpoint_id="mail-3")]
    sql = """
        select message_key, message_id, campaign_id, treatment_count, endpoint_count, sent_count, delivered_count, opened_count, hardbounced_count
        from core.messages
    """
    assert ask(sql, events) == [("run:run-1", None, "c1", 2, 3, 2, 1, 1, 1)]


def test_text_message_has_its_price_once_and_its_parts() -> None:
    # Buffered without a price, then told of twice at 645 millicents: it cost 645, in two parts.
    events = [text("BUFFERED", 1), text("SUCCESS", 5, 645.0), text("SUCCESS", 9, 645.0)]
    sql = "select message_id, sent_count, delivered_count, part_count, price_millicents, first_sent_at from core.messages"
    assert ask(sql, events) == [("t1", 1, 1, 2, 645.0, at(1 / 60))]


def test_messages_of_two_texts_of_a_run_add_up() -> None:
    events = [text("SUCCESS", 5, 645.0, **RUN), text("SUCCESS", 5, 720.0, **RUN, endpoint_id="sms-2", message_id="t2")]
    events += [text("FAILURE", 5, 645.0, **RUN, endpoint_id="sms-3", message_id="t3")]
    sql = "select message_key, sent_count, delivered_count, failed_count, part_count, price_millicents from core.messages"
    assert ask(sql, events) == [("run:run-1", 3, 2, 1, 6, 2010.0)]


def test_same_run_on_two_channels_and_in_two_apps_is_three_messages() -> None:
    events = [decision("PUSH"), decision("CUSTOM"), decision("PUSH", app_id="blog")]
    assert ask("select app_id, channel, sent_count from core.messages order by all", events) == [
        ("blog", "PUSH", 1),
        ("shop", "CUSTOM", 1),
        ("shop", "PUSH", 1),
    ]


def test_empty_lake_has_no_message() -> None:
    assert ask("from core.messages", []) == ask("from core.message_facts", []) == ask("from core.deliveries", []) == []
