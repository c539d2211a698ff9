"""The demo: a month of a made-up shop through the whole pipeline, and what SQL says of it."""

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.ask.reader import open_reader
from pipeline.audit import audit_lake, summarize
from pipeline.config import Settings
from pipeline.producer import Producer, record_key
from pipeline.simulate.compare import compare_ledger, list_differences
from pipeline.topology import RAW_EVENTS, topic_name
from pipeline.waiting import wait_until_landed
from schemas.errors import UnavailableError

USERS, DAYS = 10_000, 30
PROBES = 3
QUERIES = {
    "The busiest days": """
        select activity_date, sum(event_count)::bigint as events, count(*) as active_endpoints, sum(revenue) as revenue
        from core.endpoint_days group by all order by events desc limit 5""",
    "What people do": """
        select event_type, count(*) as events, count(distinct endpoint_id) as endpoints
        from core.events group by all order by events desc limit 5""",
    "Who buys most": """
        select endpoint_id, count(*) as purchases, sum(revenue) as revenue
        from core.purchases group by all order by revenue desc, endpoint_id limit 5""",
}


def send_month(settings: Settings, ledger: Path) -> dict[str, Any]:
    """Simulate the month in a process of its own, beside the worker; what `headwater simulate --json` reports."""
    command = [sys.executable, "-m", "pipeline.cli", "simulate", "--json", f"--users={USERS}", f"--days={DAYS}", f"--ledger={ledger}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UnavailableError("The month was not sent; the line above says why.")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def run_demo(settings: Settings) -> dict[str, Any]:
    """Send, wait until all has landed, and ask. Returns the figures; those of the audit are of everything that ever landed.

    Raises UnavailableError when the stack does not answer or nothing lands.
    """
    ledger = settings.home / "demo-ledger.json"
    before = summarize(audit_lake(settings))
    started = time.monotonic()
    sent = 0 if _is_landed(settings, ledger) else send_month(settings, ledger)["acknowledged"]
    wait_until_landed(settings)
    secs = time.monotonic() - started
    with Console(stderr=True).status("Asking SQL"):
        after = summarize(audit_lake(settings))
        with open_reader(settings) as reader:
            compared = compare_ledger(json.loads(ledger.read_text()), reader.rows)
            answers = {title: reader.rows(sql) for title, sql in QUERIES.items()}
    grown = {name: after[name] - before[name] for name in ("consumed", "landed", "dead", "duplicate")}
    return {
        "sent": sent,
        "landed": grown["landed"],
        "dead": grown["dead"],
        "duplicate": grown["duplicate"],
        "lost": after["lost"],
        "doubled": after["doubled"],
        "events_per_sec": round(grown["consumed"] / secs),
        "secs": round(secs, 1),
        "freshness_secs": measure_freshness(settings),
        "figures": len(compared),
        "differences": list_differences(compared),
        "answers": answers,
    }


def _is_landed(settings: Settings, ledger: Path) -> bool:
    """True when the month of this ledger is in the lake already: a second demo only asks."""
    if not ledger.exists():
        return False
    truth = json.loads(ledger.read_text())
    with open_reader(settings) as reader:
        found = reader.rows("select count(*) from core.events where app_id = $app", {"app": truth["app"]})
    return bool(found[0][0] >= truth["landed"])


def measure_freshness(settings: Settings) -> list[float]:
    """Send single events and wait for each to be seen by SQL; seconds from sending to seeing, ascending."""
    producer = Producer(settings, topic_name(settings, RAW_EVENTS))
    found = []
    for _ in range(PROBES):
        event_id = str(uuid.uuid4())
        record = {
            "event_id": event_id,
            "event_type": "_test.event.freshness",
            "event_timestamp": int(time.time() * 1000),
            "application": {"app_id": "headwater-demo"},
        }
        sent_at = time.monotonic()
        producer.send(record_key("headwater-demo", None, event_id), json.dumps(record).encode())
        producer.flush()
        while not _is_seen(settings, event_id):
            if time.monotonic() - sent_at > 30:
                raise UnavailableError("An event was not seen by SQL within 30 s; see what the worker says: headwater logs worker-0.")
        found.append(round(time.monotonic() - sent_at, 2))
    return sorted(found)


def _is_seen(settings: Settings, event_id: str) -> bool:
    with open_reader(settings) as reader:
        sql = f"select count(*) from core.events where app_id = 'headwater-demo' and event_id = '{event_id}'"
        return bool(reader.rows(sql)[0][0])
