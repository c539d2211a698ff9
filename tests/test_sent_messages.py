"""Messages that KPIs count: which were sent, from where, and what came of them."""

from tests.message_rows import RUN, ask, decision, mail, text

COLUMNS = (
    "source, channel, treatment_id, is_sent, is_delivered_unless_hardbounced, is_delivered_unless_bounced, is_opened, is_opened_by_people"
)


def test_messages_of_campaigns_and_transactions_with_what_came_of_them() -> None:
    events = [
        mail("send", **RUN),
        mail("delivered", 6, **RUN),
        mail("open", 60, **RUN),
        # Bounced for now: to some KPIs that is delivered, to others not.
        mail("send", message_id="m2"),
        mail("softbounce", 9, message_id="m2"),
        text("FAILURE", 5),
        # Held back, so no message to anybody.
        decision("PUSH", "HOLDOUT", endpoint_id="held"),
    ]
    assert ask(f"select {COLUMNS} from kpis.sent_messages order by all", events) == [
        ("campaign", "EMAIL", "0", True, True, True, True, True),
        ("transactional", "EMAIL", "0", True, True, False, False, False),
        ("transactional", "SMS", "0", True, False, False, False, False),
    ]


def test_an_answer_to_a_mail_says_that_and_when_it_was_sent() -> None:
    # Opened after midnight, and sent at noon of the day before.
    events = [mail("open", 13 * 3600)]
    assert ask("select is_sent, is_opened, message_date::varchar from kpis.sent_messages", events) == [(True, True, "2026-11-23")]
