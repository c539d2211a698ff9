"""What a ledger is compared in: figures that it has, in its own zone; what is no ledger is refused, and the error says why."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import simulate as command
from pipeline.config import load_settings
from pipeline.simulate.compare import COMPARED, compare_ledger, find_missing
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.plan import Plan
from schemas.errors import UsageError
from tests.conftest import headwater
from tests.lake_rows import at, event, memory_lake, purchase
from tests.message_rows import RUN, decision, mail, text

NOTHING = Ledger(Plan(users=10, days=2, start=date(2026, 10, 1))).report()


def compare(ledger: dict[str, Any], *events: Any, **given: Any) -> list[tuple[str, Any, Any]]:
    with memory_lake(load_settings(**given), events) as con:
        return compare_ledger(ledger, lambda sql: con.execute(sql).fetchall())


def test_of_nothing_an_empty_lake_says_what_the_ledger_says() -> None:
    compared = compare(NOTHING)
    assert {expected for _, expected, _ in compared} == {0}
    assert [row for row in compared if row[1] != row[2]] == []


def test_a_ledger_from_before_messages_and_zones_has_days_of_utc_and_its_messages_are_not_compared() -> None:
    old = {name: value for name, value in NOTHING.items() if name not in ("messages", "zone")}
    compared = compare(old, event(), text("SUCCESS"))
    assert {name.split(".")[0] for name, expected, found in compared if expected != found} >= {"landed", "dates", "event_types"}
    assert [name for name, _, _ in compared if name.startswith("messages")] == []
    assert find_missing(old) == []
    with pytest.raises(UsageError, match="in the zone UTC, and the settings report them in Europe/Berlin"):
        compare(old, report_zone="Europe/Berlin")


# One phone bought three mugs at 5 EUR in one session; c1 wrote an e-mail that a person clicked twice, and sent a push; a journey's e-mail was opened; a text cost 645.
# A phone whose clock is two days ahead is on a day that no chart shows, and in no figure of days here.
JOURNEY: dict[str, Any] = {
    "journey_id": "j1",
    "journey_run_id": "r1",
    "journey_activity_id": "a1",
    "message_id": "m3",
    "endpoint_id": "mail-3",
}
SHOP = [
    purchase(5, 3),
    *(mail(kind, secs, **RUN) for kind, secs in (("send", 0), ("delivered", 6), ("click", 60), ("click", 90))),
    decision("PUSH"),
    *(mail(kind, secs, **JOURNEY) for kind, secs in (("send", 0), ("open", 60))),
    text("SUCCESS", 5, 645.0),
    event(endpoint_id="phone-2", event_timestamp=at(days=2), _appended_at=at()),
]
DAY: dict[str, Any] = {"events": 9, "active_endpoints": 1, "named_users": 0, "sessions": 1, "purchases": 1, "revenue": 15.0}
AHEAD: dict[str, Any] = {"events": 1, "active_endpoints": 1, "named_users": 0, "sessions": 1, "purchases": 0, "revenue": 0.0}
MESSAGES = {
    "EMAIL": {"c1": {"sent": 1, "delivered": 1, "clicks": 2}, "j1": {"sent": 1, "opened": 1}},
    "PUSH": {"c1": {"sent": 1, "delivered": 1}},
    "SMS": {"transactional": {"sent": 1, "delivered": 1, "price_millicents": 645.0}},
}


@pytest.mark.parametrize(
    ("day", "messages", "named"),
    [
        ({}, {}, []),
        ({"active_endpoints": 2}, {}, ["usage_daily_active_endpoints.2026-11-23"]),
        ({"sessions": 2}, {}, ["usage_sessions.2026-11", "usage_sessions.2026-11-23"]),
        ({"purchases": 2}, {}, ["revenue_purchases.2026-11", "revenue_purchases.2026-11-23"]),
        ({"revenue": 15.01}, {}, ["revenue_total.2026-11", "revenue_total.2026-11-23"]),
        ({}, {"PUSH": {"c1": {"sent": 2, "delivered": 1}}}, ["attempted-deliveries-grouped-by-campaign-activity.c1"]),
        ({}, {"PUSH": {"c1": {"sent": 1, "delivered": 0}}}, ["delivery-rate-reported.c1"]),
        ({}, {"PUSH": {"c1": {"sent": 1, "delivered": 1, "opened": 1}}}, ["direct-push-opens-grouped-by-campaign-activity.c1"]),
        (
            {},
            {"SMS": {"transactional": {"sent": 1, "delivered": 1, "price_millicents": 1.0}}},
            ["txn-sms-total-price-grouped-by-country.transactional"],
        ),
        (
            {},
            {"EMAIL": {"c1": {"sent": 1, "delivered": 1, "clicks": 3}, "j1": {"sent": 1, "opened": 2}}},
            ["clicks-by-people.c1", "clicks-grouped-by-campaign-activity.c1", "journey-emails-opened-by-people.j1"],
        ),
    ],
)
def test_a_figure_that_charts_or_kpis_show_otherwise_is_named(day: dict[str, Any], messages: dict[str, Any], named: list[str]) -> None:
    ledger = NOTHING | {"dates": {"2026-11-23": DAY | day, "2026-11-25": AHEAD}, "messages": MESSAGES | messages}
    compared = compare(ledger, *SHOP)
    found = sorted(name for name, expected, counted in compared if name.startswith("kpis.") and expected != counted)
    assert found == [f"kpis.{name}" for name in named]


@pytest.mark.parametrize("name", ["app", *(name for name in COMPARED if name != "messages")])
def test_what_lacks_a_figure_that_every_ledger_had_is_no_ledger(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps({key: value for key, value in NOTHING.items() if key != name}))
    with pytest.raises(UsageError, match=rf"ledger.json' is no ledger \(it has no '{name}'\); expected one that"):
        command._compare(load_settings(), path, as_json=False)


@pytest.mark.parametrize("content", ["[]", "null", "{", "7"])
def test_a_file_of_something_else_is_no_ledger(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"ledger.json' is no ledger; expected one that"):
        command._compare(load_settings(), path, as_json=False)


# Midnight of New York is 04:00 UTC, that of Tokyo 15:00.
@pytest.mark.parametrize(
    ("app_id", "zone", "days"),
    [("shop", "America/New_York", ["2026-09-30", "2026-10-01"]), ("blog", "Asia/Tokyo", ["2026-10-01", "2026-10-02"])],
)
def test_the_command_counts_days_of_the_zone_that_the_settings_give_the_app(
    tmp_path: Path, app_id: str, zone: str, days: list[str]
) -> None:
    path = tmp_path / "ledger.json"
    options = {
        "users": "300",
        "days": "1",
        "start": "2026-10-01",
        "dirty": "0",
        "app": app_id,
        "to": str(tmp_path / "a.ndjson"),
        "ledger": str(path),
    }
    done = headwater(
        load_settings(home=tmp_path / "home"),
        "simulate",
        *(f"--{name}={value}" for name, value in options.items()),
        report_zone="Asia/Tokyo",
        app_zones='{"shop": "America/New_York"}',
    )
    assert done.returncode == 0, done.stderr
    ledger = json.loads(path.read_text())
    assert (ledger["zone"], list(ledger["dates"])) == (zone, days)
