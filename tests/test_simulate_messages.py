"""What became of the simulator's messages: the ledger's figures are those of core.deliveries, people and machines apart."""

import functools
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from agents.enrich import EnrichRules, enrich_batch
from agents.validate import ValidateRules, validate_batch
from pipeline.bare_duckdb import open_duckdb
from pipeline.config import Settings, load_settings
from pipeline.simulate.compare import compare_ledger, list_differences
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.plan import Plan
from pipeline.simulate.records import LANDED, Fact, Message
from schemas.records import RECORDS
from tests.lake_rows import Row, memory_lake
from tests.simulated import START, messages_of

PLAN = Plan(users=400, days=7, start=START, seed=9, dirty=0.15)
NOON = 1_790_000_000_000


@functools.cache
def landed() -> list[Row]:
    """Events of the run as `validate` and `enrich` make them of its records."""
    messages = [message for message in messages_of(PLAN) if message.outcome == LANDED]
    count = len(messages)
    columns: dict[str, list[Any]] = {
        "value": [message.value for message in messages],
        "value_bytes": [len(message.value) for message in messages],
        "key": [message.key for message in messages],
        "origin": [None] * count,
        "_topic_id": ["t"] * count,
        "_partition": [0] * count,
        "_offset": list(range(count)),
        "_appended_at": [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=message.sent_ms) for message in messages],
        "_payload_hash": [0] * count,
    }
    validated = validate_batch(pa.table(columns, schema=RECORDS), ValidateRules(message_bytes_max=1_000_000))
    with open_duckdb() as con:
        rows = enrich_batch(con, validated.parsed, EnrichRules()).to_pylist()
    maps = ("attributes", "metrics", "endpoint_attributes", "user_attributes")
    return [
        row | {name: dict(row[name]) for name in maps if row[name] is not None} | {"arrival_date": row["_appended_at"].date()}
        for row in rows
    ]


@functools.cache
def ledger() -> dict[str, Any]:
    counted = Ledger(PLAN)
    counted.add(list(messages_of(PLAN)))
    return counted.report()


def differences(settings: Settings) -> dict[str, tuple[Any, Any]]:
    """Figures that differ; duplicates and dead letters are not in this lake."""
    with memory_lake(settings, landed()) as con:
        compared = compare_ledger(ledger(), lambda sql: con.execute(sql).fetchall())
    lacking = ("sent", "duplicates", "dead_letters")
    return {name: (expected, found) for name, expected, found in list_differences(compared) if not name.startswith(lacking)}


def test_every_figure_of_the_ledger_is_what_the_views_say_of_the_landed_records() -> None:
    assert differences(load_settings()) == {}


def test_with_machine_opens_off_the_views_count_more_people_than_the_ledger() -> None:
    """The control of the test above: nothing differs but who opened and clicked."""
    found = differences(load_settings(machine_opens_enabled=False))
    assert {name.split(".")[0] for name in found} == {"messages", "kpis"}
    kpis = {name.split(".")[1] for name in found if name.startswith("kpis.")}
    assert all(name.endswith("-by-people") for name in kpis), kpis
    assert {name.split(".")[1] for name in found} - kpis == {"EMAIL"}
    machine_opens = {name: counts for name, counts in found.items() if name.endswith(".machine_opens")}
    assert all(expected > 0 == counted for expected, counted in machine_opens.values())
    for name, (expected, _) in machine_opens.items():
        people, counted = found[name.replace("machine_opens", "opens")]
        assert counted == people + expected


@pytest.mark.parametrize("reason", ["prefetch", "proxy", "within_secs", "burst"])
def test_the_run_has_machines_of_each_reason(reason: str) -> None:
    with memory_lake(load_settings(), landed()) as con:
        assert con.execute("select count(*) > 0 from core.message_facts where machine_reason = ?", [reason]).fetchall() == [(True,)]


def test_the_run_has_messages_of_each_channel_with_each_figure() -> None:
    found = ledger()["messages"]
    assert sorted(found) == ["EMAIL", "IN_APP", "PUSH", "SMS"]
    mails = [
        sum(figures[name] for figures in found["EMAIL"].values())
        for name in ("bounced", "opened", "machine_opened", "clicked", "machine_clicked")
    ]
    assert min(mails) > 0


def test_deliveries_never_exceed_what_was_sent() -> None:
    for channel, causes in ledger()["messages"].items():
        for cause, figures in causes.items():
            assert figures["delivered"] <= figures["sent"], (channel, cause)
            assert figures["opened"] <= figures["opens"], (channel, cause)


def mail(kind: str, at_ms: int, agent: str = "person", touched: str = "a", event_ms: int = NOON) -> Message:
    fact = Fact("EMAIL", kind, "c1", "run", agent, touched)
    return Message(at_ms, b"shop/mail", b"{}", LANDED, f"_email.{kind}", "mail", event_ms, at_ms, fact=fact)


def counted(*messages: Message) -> dict[str, int]:
    found = Ledger(PLAN)
    found.add([mail("send", NOON), mail("delivered", NOON + 1000), *messages])
    figures: dict[str, int] = found.report()["messages"]["EMAIL"]["c1"]
    return figures


@pytest.mark.parametrize(("millis", "is_machine"), [(4999, True), (5000, True), (5001, False)])
def test_ledger_calls_an_open_within_five_seconds_of_the_send_a_machine_s(millis: int, is_machine: bool) -> None:
    figures = counted(mail("open", NOON + millis))
    assert (figures["machine_opens"], figures["opens"]) == (is_machine, not is_machine)


@pytest.mark.parametrize(("apart", "touched", "machines"), [(1000, "b", 2), (1001, "b", 0), (0, "a", 0)])
def test_ledger_calls_clicks_on_two_links_within_a_second_a_machine_s(apart: int, touched: str, machines: int) -> None:
    figures = counted(mail("click", NOON + 60_000), mail("click", NOON + 60_000 + apart, touched=touched))
    assert (figures["machine_clicks"], figures["clicks"]) == (machines, 2 - machines)
    assert figures["machine_clicked"] + figures["clicked"] == 1


def test_ledger_counts_a_message_once_however_often_it_is_opened_and_each_open() -> None:
    figures = counted(mail("open", NOON + 60_000), mail("open", NOON + 60_000), mail("open", NOON + 90_000, "Mozilla/5.0"))
    assert (figures["sent"], figures["opened"], figures["opens"], figures["machine_opened"], figures["machine_opens"]) == (1, 1, 2, 1, 1)
