"""What a ledger is compared in: figures that it has, in its own zone; what is no ledger is refused, and the error says why."""

import copy
import functools
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.commands import simulate as command
from pipeline.config import load_settings
from pipeline.simulate.compare import COMPARED, compare_ledger, find_missing
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.message_figures import CORE_FIGURES, KPI_FIGURES
from pipeline.simulate.plan import Plan
from schemas.errors import UsageError
from tests.conftest import headwater
from tests.lake_rows import at, event, memory_lake, purchase
from tests.message_rows import JOURNEY, RUN, decision, mail, text

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
# A phone whose clock is eight days ahead is on a day of a week and a month that no chart shows, and in no figure of days here.
SHOP = [
    purchase(5, 3),
    *(mail(kind, secs, **RUN) for kind, secs in (("send", 0), ("delivered", 6), ("click", 60), ("click", 90))),
    decision("PUSH"),
    *(mail(kind, secs, **JOURNEY) for kind, secs in (("send", 0), ("open", 60))),
    text("SUCCESS", 5, 645.0),
    event(endpoint_id="phone-2", event_timestamp=at(days=8), _appended_at=at()),
]
SUMS: dict[str, Any] = {"events": 9, "named_users": 0, "sessions": 1, "purchases": 1, "units": 3, "revenue": 15.0}
WHO = {"active_endpoints": 1, "active_users": 0, "buyers": 1, "paying_users": 1, "reached_endpoints": 2, "opted_out_endpoints": 0}
AHEAD: dict[str, Any] = {name: int(name in ("events", "sessions", "active_endpoints")) for name in SUMS | WHO}


def messages(**given: float) -> dict[str, float]:
    """One message that was sent to an endpoint and nothing more is known of, but what is given."""
    one = {"sent": 1, "unless_hardbounced": 1, "unless_bounced": 1, "reached_endpoints": 1}
    return dict.fromkeys((*CORE_FIGURES, *KPI_FIGURES), 0) | one | given


OPENED = (
    "opened",
    "opens",
    "all_opened",
    "opened_of_sent",
    "opened_of_unless_hardbounced",
    "people_opened_of_unless_hardbounced",
    "opened_endpoints",
)
MESSAGES = {
    "EMAIL": {"c1": messages(delivered=1, clicked=1, clicks=2, clicked_endpoints=1), "j1": messages(**dict.fromkeys(OPENED, 1))},
    "PUSH": {"c1": messages(delivered=1)},
    "SMS": {"transactional": messages(delivered=1, parts=2, delivered_parts=2, price_millicents=645.0)},
}
TRUTH = NOTHING | {
    "dates": {"2026-11-23": SUMS | WHO, "2026-12-01": AHEAD},
    "weeks": {"2026-11-23": dict(WHO), "2026-11-30": dict(AHEAD)},
    "months": {"2026-11-01": dict(WHO), "2026-12-01": dict(AHEAD)},
    "messages": MESSAGES,
}
DAY, WEEK, MONTH = "2026-11-23", "week 2026-11-23", "2026-11"


@pytest.fixture(scope="module")
def shop() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_lake(load_settings(), SHOP) as con:
        yield con


def named(shop: duckdb.DuckDBPyConnection, *path: str) -> set[str]:
    """The figures of charts and KPIs that differ when that of the ledger at `path` is one more."""
    ledger: dict[str, Any] = copy.deepcopy(TRUTH)
    figures = functools.reduce(lambda inside, name: inside[name], path[:-1], ledger)
    figures[path[-1]] += 1
    compared = compare_ledger(ledger, lambda sql: shop.execute(sql).fetchall())
    return {name.removeprefix("kpis.") for name, expected, found in compared if name.startswith("kpis.") and expected != found}


@pytest.mark.parametrize(
    ("path", "charts"),
    [
        (
            ("dates", DAY, "active_endpoints"),
            ["usage_daily_active_endpoints.D", "usage_sessions_per_endpoint.D/", "revenue_per_endpoint.D/"],
        ),
        (
            ("weeks", DAY, "active_endpoints"),
            ["usage_daily_active_endpoints.W", "usage_sessions_per_endpoint.W/", "revenue_per_endpoint.W/"],
        ),
        (("months", "2026-11-01", "active_users"), ["usage_daily_active_users.M"]),
        (("weeks", DAY, "paying_users"), ["revenue_paying_users.W"]),
        (("months", "2026-11-01", "buyers"), ["revenue_purchases_per_endpoint.M/"]),
        (("dates", DAY, "opted_out_endpoints"), ["campaigns_opt_out_rate.D"]),
        (("weeks", DAY, "reached_endpoints"), ["campaigns_opt_out_rate.W/"]),
        # These add up.
        (
            ("dates", DAY, "sessions"),
            [f"{chart}.{period}" for chart in ("usage_sessions", "usage_sessions_per_endpoint") for period in "DWM"],
        ),
        (("dates", DAY, "units"), [f"revenue_units_sold.{period}" for period in "DWM"]),
        (
            ("dates", DAY, "purchases"),
            [f"{chart}.{period}" for chart in ("revenue_purchases", "revenue_purchases_per_endpoint") for period in "DWM"],
        ),
        (("dates", DAY, "revenue"), [f"{chart}.{period}" for chart in ("revenue_total", "revenue_per_endpoint") for period in "DWM"]),
        # No chart shows a day that is still to come, its week or its month.
        (("dates", "2026-12-01", "sessions"), []),
        (("weeks", "2026-11-30", "active_endpoints"), []),
        (("months", "2026-12-01", "active_endpoints"), []),
    ],
)
def test_a_figure_of_a_day_a_week_or_a_month_that_charts_show_otherwise_is_named(
    shop: duckdb.DuckDBPyConnection, path: tuple[str, ...], charts: list[str]
) -> None:
    periods = {".D": f".{DAY}", ".W": f".{WEEK}", ".M": f".{MONTH}", "/": ".denominator"}
    assert named(shop, *path) == {
        functools.reduce(lambda name, short: name.replace(short, periods[short]), periods, chart) for chart in charts
    }


@pytest.mark.parametrize(
    ("path", "measures"),
    [
        (("PUSH", "c1", "sent"), ["attempted-deliveries", "successful-delivery-rate/", "delivery-rate-reported/"]),
        (("PUSH", "c1", "unless_hardbounced"), ["successful-deliveries", "successful-delivery-rate", "push-open-rate/"]),
        (("PUSH", "c1", "delivered"), ["delivery-rate-reported"]),
        (("PUSH", "c1", "all_opened"), ["direct-push-opens"]),
        (("PUSH", "c1", "opened_of_unless_hardbounced"), ["push-open-rate"]),
        (("PUSH", "c1", "reached_endpoints"), ["unique-deliveries"]),
        (("EMAIL", "c1", "hardbounced"), ["hard-bounce-rate", "hard-bounce-rate-of-delivered"]),
        (("EMAIL", "c1", "clicks"), ["clicks", "clicks-by-people"]),
        (("EMAIL", "c1", "opened_of_delivered"), ["email-open-rate-of-reported"]),
        (("EMAIL", "c1", "people_opened_of_unless_hardbounced"), ["email-open-rate-by-people"]),
        (("EMAIL", "j1", "unless_bounced"), ["emails-delivered"]),
        (("EMAIL", "j1", "opened"), ["emails-opened-by-people"]),
        (("EMAIL", "j1", "softbounced"), ["emails-softbounced"]),
        (("EMAIL", "j1", "rejected"), ["emails-rejected"]),
        (("EMAIL", "j1", "opt_outs"), ["emails-unsubscribed"]),
        (("SMS", "transactional", "failed"), ["txn-sms-error-distribution"]),
        (("SMS", "transactional", "parts"), ["txn-sms-sent-by-parts", "txn-sms-average-price-by-parts/"]),
        (("SMS", "transactional", "delivered_parts"), ["txn-sms-delivered-by-parts"]),
        (("SMS", "transactional", "price_millicents"), ["txn-sms-total-price", "txn-sms-average-price", "txn-sms-average-price-by-parts"]),
        # No KPI counts these.
        (("SMS", "transactional", "opted_out"), []),
        (("EMAIL", "c1", "machine_opened"), []),
    ],
)
def test_a_figure_of_messages_that_kpis_show_otherwise_is_named(
    shop: duckdb.DuckDBPyConnection, path: tuple[str, str, str], measures: list[str]
) -> None:
    found = named(shop, "messages", *path)
    assert {name.split(".")[1] for name in found} <= {path[1]}
    # What a KPI is grouped by changes no sum.
    assert {re.sub(rf"^journey-|-grouped-by-[a-z-]+|\.{path[1]}", "", name) for name in found} == {
        measure.replace("/", ".denominator") for measure in measures
    }


def test_a_ledger_from_before_figures_of_weeks_and_of_bounces_is_compared_in_what_it_has(shop: duckdb.DuckDBPyConnection) -> None:
    old = {name: value for name, value in TRUTH.items() if name not in ("weeks", "months")}
    old["dates"] = {
        day: {name: figures[name] for name in ("events", "active_endpoints", "sessions")} for day, figures in TRUTH["dates"].items()
    }
    old["messages"] = {
        channel: {cause: {name: figures[name] for name in ("sent", "delivered")} for cause, figures in causes.items()}
        for channel, causes in MESSAGES.items()
    }
    compared = compare_ledger(old, lambda sql: shop.execute(sql).fetchall())
    assert {name for name, expected, found in compared if name.startswith(("dates", "messages", "kpis")) and expected != found} == set()
    figures = {name.rsplit(".", maxsplit=1)[-1] for name, _, _ in compared if name.startswith(("dates", "messages"))}
    assert figures == {"events", "active_endpoints", "sessions", "sent", "delivered"}
    asked = {re.sub(r"-grouped-by-[a-z-]+", "", name.split(".")[1]) for name, _, _ in compared if name.startswith("kpis.")}
    assert asked == {
        *("usage_daily_active_endpoints", "usage_sessions", "usage_sessions_per_endpoint", "revenue_per_endpoint"),
        *("attempted-deliveries", "successful-delivery-rate", "delivery-rate-reported", "hard-bounce-rate", "email-open-rate-of-sent"),
        *("email-open-rate-of-reported", "journey-emails-sent", "emails-sent", "journey-emails-delivered-reported"),
        *("txn-emails-sent", "txn-emails-delivered-reported", "txn-emails-delivery-rate", "txn-emails-complaint-rate"),
        *("txn-sms-sent", "txn-sms-delivered", "txn-sms-delivery-rate", "txn-sms-average-price"),
    }


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
