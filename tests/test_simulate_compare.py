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
from tests.lake_rows import event, memory_lake
from tests.message_rows import text

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
