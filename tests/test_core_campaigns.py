"""core.campaigns, core.treatments, core.journeys and core.campaign_endpoints: who was decided on, and what came of it."""

from typing import Any

import pytest

from tests.lake_rows import Row, at, event
from tests.message_rows import RUN, ask, decision, mail


def run_of(endpoint: str, treatment: str, number: int = 1, **given: str) -> dict[str, Any]:
    """Ids of campaign c1's run `number` for an endpoint, and a message of its own."""
    return {
        **RUN,
        "campaign_activity_id": f"run-{number}",
        "treatment_id": treatment,
        "endpoint_id": endpoint,
        "message_id": f"{endpoint}-{number}",
        **given,
    }


def sent(endpoint: str, treatment: str, number: int = 1) -> list[Row]:
    ids = run_of(endpoint, treatment, number)
    days = number - 1
    return [decision("EMAIL", event_timestamp=at(days=days), **ids), mail("send", 1, event_timestamp=at(days=days), **ids)]


# Two runs, a day apart. mail-1 (treatment 0) got both and opened both, the first twice; mail-2 (treatment 1) got the first, which bounced, and
# unsubscribed from the second; mail-3 was held out of both.
EVENTS = [
    *sent("mail-1", "0"),
    *sent("mail-1", "0", 2),
    mail("delivered", 2, **run_of("mail-1", "0")),
    mail("open", 60, **run_of("mail-1", "0")),
    mail("open", 90, **run_of("mail-1", "0")),
    mail("click", 95, **run_of("mail-1", "0")),
    mail("open", 60, event_timestamp=at(days=1), **run_of("mail-1", "0", 2)),
    mail("open", 1, **run_of("mail-2", "1")),
    *sent("mail-2", "1"),
    mail("hardbounce", 2, **run_of("mail-2", "1")),
    *sent("mail-2", "1", 2),
    mail("unsubscribe", 300, event_timestamp=at(days=1), **run_of("mail-2", "1", 2)),
    decision("EMAIL", "HOLDOUT", **run_of("mail-3", "0")),
    decision("EMAIL", "HOLDOUT", event_timestamp=at(days=1), **run_of("mail-3", "0", 2)),
]


def test_campaign_endpoints_add_up_the_runs_of_each_endpoint() -> None:
    sql = """
        select endpoint_id, treatment_id, is_held_out, assigned_at, message_count, sent_count, delivered_count, opened_count,
            machine_opened_count, clicked_count, bounced_count, first_opened_at, opted_out_at
        from core.campaign_endpoints
        order by 1
    """
    assert ask(sql, EVENTS) == [
        ("mail-1", "0", False, at(), 2, 2, 1, 2, 0, 1, 0, at(1), None),
        ("mail-2", "1", False, at(), 2, 2, 0, 0, 1, 0, 1, None, at(5, days=1)),
        ("mail-3", "0", True, at(), 2, 0, 0, 0, 0, 0, 0, None, None),
    ]


def test_endpoint_stays_in_the_treatment_that_it_got_first() -> None:
    events = [*sent("mail-1", "1"), *sent("mail-1", "0", 2)]
    assert ask("select treatment_id, message_count from core.campaign_endpoints", events) == [("1", 2)]


def test_endpoint_that_opened_what_no_decision_is_known_of_is_there_without_an_assignment() -> None:
    opened = event(event_type="_campaign.opened_notification", channel="PUSH", **RUN)
    assert ask("select endpoint_id, assigned_at, sent_count, opened_count from core.campaign_endpoints", [opened]) == [
        ("phone-1", None, 0, 1)
    ]
    received = event(event_type="_campaign.received_background", channel="PUSH", **RUN | {"treatment_id": "1"})
    assert ask("select treatment_id, endpoint_count from core.treatments", [received]) == [("1", 1)]


@pytest.mark.parametrize("nobody", ["", None])
def test_message_to_nobody_known_has_no_endpoint(nobody: str | None) -> None:
    journey: dict[str, Any] = {"journey_id": "j1", "journey_run_id": "r1", "journey_activity_id": "a1"}
    events = [decision("PUSH"), decision("PUSH", endpoint_id=nobody), mail("send", **journey), mail("send", endpoint_id=nobody, **journey)]
    # Two pushes were sent, one of them to phone-1; of e-mails likewise.
    assert ask("select endpoint_count, sent_count from core.campaigns", events) == [(1, 2)]
    assert ask("select endpoint_count, sent_count from core.journeys", events) == [(1, 2)]
    assert ask("select endpoint_id from core.campaign_endpoints", events) == [("phone-1",)]
    assert ask("select endpoint_count, sent_endpoint_count from core.treatments", events) == [(1, 1)]


# Of an endpoint's two runs: what was decided, and whether that holds it out.
MIXED = [
    (("HOLDOUT", "SUCCESS"), True),
    (("SUCCESS", "HOLDOUT"), False),
    (("DAILY_CAP", "HOLDOUT"), True),
    (("DAILY_CAP", "SUCCESS"), False),
]


@pytest.mark.parametrize(("statuses", "is_held_out"), MIXED)
def test_first_decision_to_send_or_to_hold_out_says_which_of_the_two_an_endpoint_is(statuses: tuple[str, str], is_held_out: bool) -> None:
    events: list[Row] = [event(event_timestamp=at(days=2))]
    for number, status in enumerate(statuses, 1):
        ids, moment = run_of("mail-1", "0", number), at(days=number - 1)
        events.append(decision("EMAIL", status, event_timestamp=moment, **ids))
        if status == "SUCCESS":
            kinds = (("delivered", 1), ("open", 60), ("click", 70), ("unsubscribe", 80))
            events += [mail(kind, secs, event_timestamp=moment, **ids) for kind, secs in kinds]
    was_sent = not is_held_out
    parts = """
        select endpoint_count, held_out_count, sent_endpoint_count, delivered_endpoint_count, opened_endpoint_count, clicked_endpoint_count,
            opted_out_endpoint_count
        from core.treatments
    """
    # One endpoint: of those held out, or of the others, and then all that was sent to it counts.
    assert ask(parts, events) == [(was_sent, is_held_out, *[was_sent] * 5)]
    assert ask("select is_held_out from core.campaign_endpoints", events) == [(is_held_out,)]
    assert ask("select endpoint_count, held_out_count from core.campaigns", events) == [(1, is_held_out)]
    # lift puts it in the same group.
    lifted = "select treated_count, holdout_count from lift('c1', 'screen.view', subject := 'endpoint') where treatment_id is null"
    assert ask(lifted, events) == [(was_sent, is_held_out)]


def test_campaign_endpoint_without_a_user_is_there_and_the_user_comes_from_the_decision() -> None:
    events = [decision("EMAIL", user_id="ann", **run_of("mail-1", "0")), mail("send", 1, **run_of("mail-2", "0"))]
    assert ask("select endpoint_id, user_id from core.campaign_endpoints order by 1", events) == [("mail-1", "ann"), ("mail-2", None)]


def test_treatments_count_endpoints_and_those_held_out_apart() -> None:
    sql = """
        select treatment_id, treatment_name, endpoint_count, held_out_count, sent_endpoint_count, opened_endpoint_count,
            clicked_endpoint_count, opted_out_endpoint_count
        from core.treatments
        order by 1
    """
    assert ask(sql, EVENTS) == [("0", "0", 1, 1, 1, 1, 1, 0), ("1", "1", 1, 0, 1, 0, 0, 1)]


def test_campaign_without_a_treatment_has_the_treatment_0() -> None:
    assert ask("select treatment_id from core.treatments", [mail("send", **(RUN | {"treatment_id": None}))]) == [("0",)]


def test_campaigns_count_runs_treatments_and_endpoints() -> None:
    sql = """
        select campaign_id, campaign_name, channels, run_count, treatment_count, endpoint_count, held_out_count, sent_count,
            first_decided_at, last_sent_at
        from core.campaigns
    """
    assert ask(sql, EVENTS) == [("c1", "c1", ["EMAIL"], 2, 2, 3, 1, 4, at(), at(days=1))]


def test_names_are_those_that_were_sent_last() -> None:
    names = [("Spring", "bold"), ("Summer", "quiet")]
    events = [
        decision("PUSH", secs=day, attributes={"campaign_send_status": "SUCCESS", "campaign_name": name, "treatment_name": treatment})
        for day, (name, treatment) in enumerate(names)
    ]
    assert ask("select campaign_name from core.campaigns", events) == [("Summer",)]
    assert ask("select treatment_name from core.treatments", events) == [("quiet",)]
    at_once = [{**row, "event_timestamp": at()} for row in events]
    # Of one moment the order of the names decides, not that of the records.
    for view, column, name in (("campaigns", "campaign_name", "Summer"), ("treatments", "treatment_name", "quiet")):
        assert ask(f"select {column} from core.{view}", at_once) == ask(f"select {column} from core.{view}", at_once[::-1]) == [(name,)]


def test_the_same_campaign_in_two_apps_is_two() -> None:
    events = [decision("PUSH"), decision("PUSH", app_id="blog")]
    assert ask("select app_id, endpoint_count from core.campaigns order by 1", events) == [("blog", 1), ("shop", 1)]


def test_journeys_count_runs_activities_and_endpoints_and_are_no_campaigns() -> None:
    ids: dict[str, Any] = {"journey_id": "j1", "journey_run_id": "r1", "journey_activity_id": "a1"}
    no_campaign: dict[str, Any] = dict.fromkeys(RUN)
    events = [
        decision(
            "PUSH",
            **{
                **no_campaign,
                **ids,
                "event_type": "_journey.send",
                "attributes": {"journey_send_status": "SUCCESS", "journey_name": "Hello"},
            },
        ),
        mail("send", **(ids | {"journey_activity_id": "a2"})),
        mail("send", **(ids | {"journey_run_id": "r2"}), endpoint_id="mail-2"),
    ]
    sql = "select journey_id, journey_name, channels, run_count, activity_count, endpoint_count, sent_count from core.journeys"
    assert ask(sql, events) == [("j1", "Hello", ["EMAIL", "PUSH"], 2, 2, 3, 3)]
    assert ask("from core.campaigns", events) == []


def test_transactional_messages_are_nobody_s_campaign_and_an_empty_lake_has_none() -> None:
    for view in ("campaigns", "treatments", "journeys", "campaign_endpoints"):
        assert ask(f"from core.{view}", [mail("send")]) == ask(f"from core.{view}", []) == []
