"""Charts of one campaign: by channel, by treatment, and what followed its pushes within 24 hours."""

from typing import Any

import pytest

from tests.lake_rows import at, event, purchase
from tests.message_rows import RUN, ask, decision, mail, text

SMS: dict[str, Any] = {"campaign_id": "c2", "campaign_activity_id": "run-2", "message_id": "t2"}
B = RUN | {"treatment_id": "1", "endpoint_id": "mail-2"}


def charted(events: list[Any], *charts: str) -> list[tuple[Any, ...]]:
    names = ", ".join(f"'campaigns_{chart}'" for chart in charts)
    columns = "chart[11:], part, numerator, denominator"
    return ask(f"select {columns} from kpis.campaigns where period = 'day' and chart in ({names}) order by all", events)


def test_a_campaign_of_texts_is_sent_and_delivered_and_nobody_knows_who_opened() -> None:
    # Two texts, one arrived and one failed.
    events = [text("SUCCESS", 5, 645.0, **SMS), text("FAILURE", 5, **SMS | {"endpoint_id": "sms-2", "message_id": "t3"})]
    found = charted(events, "sent_by_channel", "delivery_rate_by_channel", "open_rate_by_channel", "click_rate_by_channel")
    assert found == [("delivery_rate_by_channel", "c2/SMS", 1, 2), ("sent_by_channel", "c2/SMS", 2, None)]


def test_treatments_stand_beside_each_other_in_each_figure() -> None:
    # 0: delivered, opened, clicked twice. 1: one delivered and opened, one bounced.
    events = [mail(kind, secs, **RUN) for kind, secs in (("delivered", 6), ("open", 60), ("click", 70), ("click", 90))]
    events += [mail("delivered", 6, **B), mail("open", 60, **B), mail("hardbounce", 6, **B | {"endpoint_id": "mail-3"})]
    figures = ("sent", "delivery_rate", "email_open_rate", "email_click_rate", "email_clicks")
    assert charted(events, *(f"{figure}_by_treatment" for figure in figures)) == [
        ("delivery_rate_by_treatment", "c1/0", 1, 1),
        ("delivery_rate_by_treatment", "c1/1", 1, 2),
        ("email_click_rate_by_treatment", "c1/0", 1, 1),
        ("email_click_rate_by_treatment", "c1/1", 0, 1),
        ("email_clicks_by_treatment", "c1/0", 2, None),
        ("email_clicks_by_treatment", "c1/1", 0, None),
        ("email_open_rate_by_treatment", "c1/0", 1, 1),
        ("email_open_rate_by_treatment", "c1/1", 1, 1),
        ("sent_by_treatment", "c1/0", 1, None),
        ("sent_by_treatment", "c1/1", 2, None),
    ]


def test_opt_outs_by_an_answer_of_its_own_are_in_the_rate_as_they_are_in_the_treatment() -> None:
    # Two people got a text of the run; one answered STOP, which is a message of its own.
    events = [text("SUCCESS", 5, **RUN), text("SUCCESS", 5, message_id="t2", endpoint_id="sms-2", **RUN)]
    events += [text("OPTOUT", 60, message_id="z9", **RUN)]
    assert charted(events, "opt_out_rate") == [("opt_out_rate", None, 1, 2)]
    assert ask("select endpoint_count, opted_out_endpoint_count from core.treatments", events) == [(2, 1)]


@pytest.mark.parametrize("nobody", ["", None])
def test_charts_reach_no_endpoint_by_a_message_to_nobody_known(nobody: str | None) -> None:
    events = [decision("PUSH"), decision("PUSH", endpoint_id=nobody)]
    figures = charted(events, "endpoint_deliveries", "messages_sent", "opt_out_rate")
    assert figures == [("endpoint_deliveries", None, 1, None), ("messages_sent", None, 2, None), ("opt_out_rate", None, 0, 1)]
    assert ask("select numerator from kpis.campaign_kpis where kpi_name = 'unique-deliveries'", events) == [(1,)]


@pytest.mark.parametrize(("millis", "count"), [(-1, 0), (0, 1), (86_400_000, 1), (86_400_001, 0)])
def test_what_follows_a_push_follows_within_24_hours(millis: int, count: int) -> None:
    events = [decision("PUSH"), purchase(1, 4, event_timestamp=at(millis=millis))]
    assert charted(events, "push_sessions_within_24_hours", "push_units_within_24_hours") == [
        ("push_sessions_within_24_hours", "c1", count, None),
        ("push_units_within_24_hours", "c1", 4 * count, None),
    ]


def test_a_session_counts_once_for_each_campaign_and_only_for_who_got_the_push() -> None:
    # Two pushes of c1 and one of c2 in an hour, then a session; another phone's session, and one whose push was held back.
    second: dict[str, Any] = {"campaign_activity_id": "run-9"}
    events = [
        decision("PUSH"),
        decision("PUSH", secs=1800, **second),
        decision("PUSH", secs=900, campaign_id="c2", campaign_activity_id="run-3"),
    ]
    events += [event(event_timestamp=at(60)), event(endpoint_id="other", event_timestamp=at(60))]
    events += [decision("PUSH", "HOLDOUT", endpoint_id="held"), event(endpoint_id="held", event_timestamp=at(60))]
    assert charted(events, "push_sessions_within_24_hours") == [
        ("push_sessions_within_24_hours", "c1", 1, None),
        ("push_sessions_within_24_hours", "c2", 1, None),
    ]


def test_charts_of_pushes_alone_are_those_of_their_page() -> None:
    events = [decision("PUSH"), event(event_timestamp=at(60))]
    sql = "select part, numerator from kpis.page_pushes where period = 'day' and chart = 'campaigns_push_sessions_within_24_hours'"
    assert ask(sql, events) == [("c1", 1)]
