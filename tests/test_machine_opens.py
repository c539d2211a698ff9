"""Opens and clicks that machines make are told from those of people, each reason with its borders and its control."""

import pytest

from pipeline.config import load_settings
from tests.lake_rows import Row, at
from tests.message_rows import PERSON, ask, mail

APPLE = "Mozilla/5.0"
GATEWAY = "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
ALL_COUNT = load_settings(machine_opens_enabled=False)
REASONS = (
    "select machine_reason from core.message_facts where fact in ('open', 'click') order by happened_at, link, reader_address, _offset"
)


def reasons(*events: Row, delivered: float = 1) -> list[str | None]:
    """Why each of these opens and clicks is a machine's, of a message that was delivered a second after it was sent."""
    found = ask(REASONS, [mail("send"), mail("delivered", delivered), *events])
    return [reason for (reason,) in found]


@pytest.mark.parametrize(
    ("secs", "reason"),
    [
        pytest.param(4.999, "within_secs", id="within"),
        pytest.param(5, "within_secs", id="exactly"),
        pytest.param(5.001, None, id="a millisecond beyond"),
    ],
)
@pytest.mark.parametrize("kind", ["open", "click"])
def test_what_is_read_within_seconds_of_the_send_was_read_by_a_machine(kind: str, secs: float, reason: str | None) -> None:
    assert reasons(mail(kind, secs)) == [reason]


def test_the_seconds_are_a_setting() -> None:
    events = [mail("open", 5), mail("open", 20), mail("open", 20.001)]
    found = ask(REASONS, events, load_settings(machine_open_secs=20))
    assert found == [("within_secs",), ("within_secs",), (None,)]
    # No second at all: only what came with the send itself, or before it.
    assert ask(REASONS, [mail("open", 0), mail("open", 0.001)], load_settings(machine_open_secs=0)) == [("within_secs",), (None,)]


@pytest.mark.parametrize(("secs", "reason"), [(59.999, "prefetch"), (60, None), (60.001, None)])
def test_what_is_opened_before_it_was_delivered_was_fetched_ahead(secs: float, reason: str | None) -> None:
    assert reasons(mail("open", secs), delivered=60) == [reason]


def test_first_of_two_deliveries_counts() -> None:
    assert reasons(mail("open", 70), mail("delivered", 90), delivered=60) == [None]


@pytest.mark.parametrize(
    ("agent", "reason"),
    [(APPLE, "prefetch"), (GATEWAY, "proxy"), (GMAIL, None), (PERSON, None), ("Mozilla/5.0 (iPhone)", None), ("", None)],
)
def test_known_agents_are_machines_whenever_they_come_and_a_proxy_that_asks_for_a_reader_is_none(agent: str, reason: str | None) -> None:
    assert reasons(mail("open", 7200, agent), mail("click", 7300, agent)) == [reason, reason]


def test_clicks_on_two_links_within_a_second_are_a_scanners_burst() -> None:
    # Clicks at 100.0 and 101.0 on a and b are a second apart, the one at 102.001 on c is more than a second from both.
    clicks = [mail("click", 100, link="https://a"), mail("click", 101, link="https://b"), mail("click", 102.001, link="https://c")]
    assert reasons(*clicks) == ["burst", "burst", None]


def test_two_clicks_on_one_link_are_a_persons_double_click() -> None:
    assert reasons(mail("click", 100), mail("click", 100.2)) == [None, None]


def test_the_same_open_twice_at_one_moment_is_two_opens_of_a_person() -> None:
    assert reasons(mail("open", 100), mail("open", 100)) == [None, None]


def test_opens_from_two_addresses_within_a_second_are_a_burst() -> None:
    assert reasons(mail("open", 100), mail("open", 100.5, address="198.51.100.7")) == ["burst", "burst"]


def test_clicks_in_two_messages_are_no_burst() -> None:
    assert reasons(mail("click", 100, link="https://a"), mail("click", 100, link="https://b", message_id="m2")) == [None, None]


def test_reasons_come_in_order_when_several_hold() -> None:
    # Two seconds after the send, delivered after three: ahead of the delivery, by a gateway, within seconds, two links in a burst.
    clicks = [mail("click", 2, GATEWAY, link="https://a"), mail("click", 2, GATEWAY, link="https://b")]
    assert reasons(*clicks, delivered=3) == ["prefetch", "prefetch"]
    assert reasons(*clicks, delivered=1) == ["proxy", "proxy"]
    assert reasons(mail("click", 2, link="https://a"), mail("click", 2, link="https://b")) == ["within_secs", "within_secs"]


def test_open_of_an_unknown_moment_is_judged_by_its_agent_alone() -> None:
    # Old archives lack the arrival: event_timestamp is the send, and every open would seem to be of that very moment.
    opens = [mail("open", arrival_timestamp=None), mail("open", arrival_timestamp=None, agent=APPLE, address="198.51.100.7")]
    assert reasons(*opens) == [None, "prefetch"]


def test_opened_pushes_are_a_persons_however_fast() -> None:
    opened: Row = {**mail("open"), "event_type": "_campaign.opened_notification", "channel": "PUSH", "facets": None}
    assert ask("select is_machine from core.message_facts", [opened]) == [(False,)]


EVENTS = [
    mail("send"),
    mail("delivered", 3),
    mail("open", 4, APPLE),
    mail("open", 600),
    mail("open", 900),
    mail("click", 4, link="https://a"),
    mail("click", 901, link="https://b"),
]
COUNTS = """
    select open_count, machine_open_count, opened_at, machine_opened_at, machine_open_reason,
        click_count, machine_click_count, clicked_at, machine_clicked_at, machine_click_reason
    from core.deliveries
"""


def test_people_and_machines_stand_apart_in_deliveries() -> None:
    people = (2, 1, at(10), at(0, 4000), "prefetch")
    assert ask(COUNTS, EVENTS) == [(*people, 1, 1, at(0, 901_000), at(0, 4000), "within_secs")]


def test_with_machine_opens_off_everything_counts_as_a_persons() -> None:
    """The control of the test above: three opens and two clicks instead of two and one, the first of them four seconds after the send."""
    assert ask(COUNTS, EVENTS, ALL_COUNT) == [(3, 0, at(0, 4000), None, None, 2, 0, at(0, 4000), None, None)]


def test_machine_agents_are_each_known_once() -> None:
    assert ask("select count(*) from core.machine_agents group by agent_pattern having count(*) > 1", []) == []
    # No pattern stands for what another one finds as well.
    twins = "select a.agent_pattern from core.machine_agents a join core.machine_agents b on a.agent_pattern <> b.agent_pattern"
    assert ask(f"{twins} and trim(a.agent_pattern, '%') ilike b.agent_pattern", []) == []


@pytest.mark.parametrize("agent", ["ProofPoint/1.0", "proofpoint", "PROOFPOINT URL Defense", "BarracudaCentral"])
def test_case_of_an_agents_name_tells_nothing(agent: str) -> None:
    assert reasons(mail("open", 60, agent=agent)) == ["proxy"]
    assert ask("select distinct reason from core.machine_agents order by all nulls last", []) == [("prefetch",), ("proxy",), (None,)]
