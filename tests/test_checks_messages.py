"""Each check of messages: a lake in order gives no row, one that is wrong by hand the rows that say so."""

from typing import Any

import pytest

from tests.check_lake import found
from tests.endpoint_rows import update
from tests.lake_rows import at, event
from tests.message_rows import RUN as RUN_IDS
from tests.message_rows import decision, mail, text

RUN: dict[str, Any] = {**RUN_IDS}

RIGHT = [
    decision("EMAIL", endpoint_id="mail-1"),
    *(mail(kind, secs, **RUN) for kind, secs in (("send", 1), ("delivered", 2), ("open", 1), ("open", 900), ("click", 960))),
    text("BUFFERED"),
    text("SUCCESS", 5, 645.0),
]


def test_messages_in_order_give_no_row() -> None:
    assert found(RIGHT) == {}


def test_what_was_delivered_and_never_sent_is_found() -> None:
    wrong = {"core.deliveries": "select * replace (case when channel = 'EMAIL' then sent_at end as sent_at) from {view}"}
    rows = found(RIGHT, wrong)
    assert rows["delivered_was_sent"] == [("shop", "SMS", 0, 1, 1)]
    # An e-mail that says of itself that it is a push: as such nobody decided to send it.
    assert found([mail("delivered", 2, channel="PUSH")])["delivered_was_sent"] == [("shop", "PUSH", 0, 1, 1)]


def test_pushes_that_were_opened_or_clicked_without_a_send_are_found() -> None:
    # A push is sent by its decision; an open without one has no send. In-app messages are sent by being displayed.
    opened = event(event_type="_campaign.opened_notification", channel="PUSH", **RUN)
    clicked = event(event_type="_inapp.message_clicked", campaign_id="c2", session_id="s1")
    assert found([opened]) == {"opened_was_sent": [("shop", "PUSH", 1, "run:run-1")]}
    assert found([clicked]) == {"clicked_was_sent": [("shop", "IN_APP", 1, "campaign:c2:s1")]}
    assert found([decision("PUSH"), opened]) == {}
    assert found([event(event_type="_inapp.message_displayed", campaign_id="c2", session_id="s1"), clicked]) == {}


def test_opens_that_neither_people_nor_machines_made_are_found() -> None:
    wrong = {"core.deliveries": "select * replace (0 as machine_open_count) from {view}"}
    # Two opens, a second after the send and fifteen minutes after it: a machine's and a person's; one click.
    assert found(RIGHT, wrong) == {"people_and_machines_add_up": [("shop", 2, 1, 1, 1)]}


@pytest.mark.parametrize(("secs", "count"), [(-300, 0), (-301, 1)])
def test_an_open_before_the_send_is_found_beyond_the_allowance(secs: float, count: int) -> None:
    opened = mail("open", secs, event_id="early")
    assert found([mail("send"), opened]).get("no_fact_before_its_send", []) == [("shop", "EMAIL", "open", 1, 301.0, "early")][:count]


def test_a_campaign_that_goes_on_after_an_opt_out_is_found() -> None:
    out = mail("unsubscribe", 60, **RUN)
    later: dict[str, Any] = {"campaign_id": "c1", "campaign_activity_id": "run-2", "event_timestamp": at(days=1), "message_id": "m2"}
    receipt = mail("send", event_timestamp=at(days=2), message_id="m3")
    assert found([mail("send", **RUN), out, receipt]) == {}
    # Held back as it should be, by a hundred runs: of so many rows DuckDB's asof join takes a moment that is null for the latest.
    held = [
        decision("EMAIL", "HOLDOUT", **later | {"endpoint_id": "mail-1", "campaign_activity_id": f"run-{number}"}) for number in range(100)
    ]
    assert found([mail("send", **RUN), out, *held]) == {}
    rows = found([mail("send", **RUN), out, receipt, mail("send", **later)])
    assert rows == {"no_send_after_opt_out": [("shop", "EMAIL", "mail-1", at(1), 1, at(days=1))]}


def test_who_asks_to_be_written_to_again_may_be_until_the_next_opt_out() -> None:
    # Out a minute after noon of the 23rd; runs of the 24th and, below, of the 25th and 26th write at noon.
    def run(day: int) -> dict[str, Any]:
        return {
            "campaign_id": "c1",
            "campaign_activity_id": f"of-day-{day}",
            "event_timestamp": at(days=day),
            "message_id": f"of-day-{day}",
        }

    def after(**said: Any) -> list[tuple[Any, ...]]:
        given: dict[str, Any] = {"endpoint_id": "MAIL-1", "opt_out": "NONE", "_appended_at": at(days=1), **said}
        updates = [update(**given)]
        return found(events, endpoint_updates=updates, asked=["no_send_after_opt_out"]).get("no_send_after_opt_out", [])

    events = [mail("send", **RUN), mail("unsubscribe", 60, **RUN), mail("send", **run(1))]
    told = [("shop", "EMAIL", "mail-1", at(1), 1, at(days=1))]
    # Asked at the very moment of the message, and a millisecond late; at the very moment of the opt-out, and a millisecond after it.
    assert [after(), after(_appended_at=at(days=1, millis=1))] == [[], told]
    assert [after(_appended_at=at(1)), after(_appended_at=at(1, millis=1))] == [told, []]
    # That the update says nothing of it, or is of another endpoint or app, asks for nothing.
    assert after(opt_out=None) == after(opt_out="ALL") == after(endpoint_id="mail-2") == after(app_id="blog") == told
    # The second opt-out holds against the message of the 26th.
    events += [mail("send", **run(2)), mail("unsubscribe", 60, **run(2)), mail("send", **run(3))]
    assert after() == [("shop", "EMAIL", "mail-1", at(1, days=2), 1, at(days=3))]


@pytest.mark.parametrize("has_opted_out_again", [True, False])
def test_who_asked_again_and_opted_out_again_by_the_same_mail_or_by_an_update_may_not_be_written_to(has_opted_out_again: bool) -> None:
    # Out on the 23rd, in again a minute after noon of the 24th, out again of the 25th's noon; the 26th writes.
    later: dict[str, Any] = {"campaign_id": "c1", "campaign_activity_id": "run-2", "event_timestamp": at(days=3), "message_id": "m2"}
    events = [mail("send", **RUN), mail("unsubscribe", 60, **RUN), mail("send", **later)]
    again = [mail("unsubscribe", 2 * 86400, **RUN)] if has_opted_out_again else []
    asked: dict[str, Any] = {"endpoint_id": "mail-1", "opt_out": "NONE", "_appended_at": at(1, days=1)}
    updates = [update(**asked), *([] if has_opted_out_again else [update(**asked | {"opt_out": "ALL", "_appended_at": at(days=2)})])]

    def told(events: list[Any], updates: list[Any]) -> list[tuple[Any, ...]]:
        rows = found(events, endpoint_updates=updates, asked=["no_send_after_opt_out"])
        return [row[4:] for row in rows.get("no_send_after_opt_out", [])]

    assert told([*events, *again], updates) == [(1, at(days=3))]
    # The control: nothing after the wish takes it back.
    assert told(events, updates[:1]) == []


def test_an_answer_that_opts_out_of_what_nobody_sent_is_found() -> None:
    answer: dict[str, Any] = {"message_id": "z9"}
    # The run's text is known; a transactional one never is.
    assert found([text("SUCCESS", 5, **RUN), text("OPTOUT", 9, **RUN | answer), text("OPTOUT", 9, **answer)]) == {}
    # Of a campaign that the answer names without its run no text is known, nor of a run whose text did not come.
    rows = found([text("SUCCESS", 5, **RUN), text("OPTOUT", 9, campaign_id="c1", **answer)])
    assert rows == {"opted_out_was_sent": [("shop", "SMS", "c1", None, 1, "message:z9")]}
    assert found([text("OPTOUT", 9, **RUN)]) == {"opted_out_was_sent": [("shop", "SMS", "c1", None, 1, "run:run-1")]}


def test_an_endpoint_in_no_treatment_of_its_campaign_is_found() -> None:
    # Events of message m1 name two campaigns, and its delivery has one of them: of mail-1 and mail-2, c1 has mail-2 alone.
    events = [mail("send", campaign_id="c1"), mail("delivered", 2, campaign_id="c2")]
    events += [mail("send", campaign_id="c1", message_id="m2", endpoint_id="mail-2")]
    assert found(events) == {"treatments_add_up": [("shop", "c1", 2, 1, 0, 0, False)]}


def test_treatments_whose_parts_are_no_part_are_found() -> None:
    held = decision("EMAIL", "HOLDOUT", endpoint_id="mail-2")
    assert found([*RIGHT, held]) == {}
    # mail-1 was sent to, mail-2 held out.
    larger = {"core.treatments": "select * replace (endpoint_count + held_out_count as opened_endpoint_count) from {view}"}
    assert found([*RIGHT, held], larger) == {"treatments_add_up": [("shop", "c1", 2, 2, 1, 1, True)]}
    let_go = {"core.treatments": "select * replace (endpoint_count + 1 as endpoint_count, 0 as held_out_count) from {view}"}
    assert found([*RIGHT, held], let_go) == {"treatments_add_up": [("shop", "c1", 2, 2, 1, 0, False)]}


def test_a_campaign_that_events_name_and_no_view_has_is_found() -> None:
    lost = {"core.campaigns": "from {view} where campaign_id <> 'c1'"}
    # One decision and five events of the e-mail.
    assert found(RIGHT, lost) == {"campaigns_of_events_are_known": [("shop", "c1", 6, 0)]}
    # Whatever that is, no view knows it, and so not the campaign either.
    unheard = event(event_type="_campaign.unheard_of", campaign_id="c9")
    assert found([*RIGHT, unheard]) == {"campaigns_of_events_are_known": [("shop", "c9", 1, 0)]}
