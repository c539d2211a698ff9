"""`headwater simulate`: a made-up shop's events, to Kafka or a file, with the true answers beside them."""

import gc
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import rich.progress
import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pipeline.config import Settings, load_settings
from pipeline.producer import Producer
from pipeline.report import print_figures, print_json, print_rows
from pipeline.simulate.compare import compare_ledger, find_missing, list_differences
from pipeline.simulate.encoding import Encode, build_encode
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.plan import Plan, build_plan
from pipeline.simulate.preload import preload_topic
from pipeline.simulate.write import FileTarget, KafkaTarget, Pace, Progress, Target, run_simulation
from pipeline.topology import RAW_EVENTS, topic_name
from schemas.errors import UsageError

app = typer.Typer()


@app.command()
def simulate(
    users: int = typer.Option(10_000, help="People of the shop."),
    days: int = typer.Option(30, help="Days of events; not with --live."),
    start: str = typer.Option("", help="First day, for example 2026-10-01; without it the days end with yesterday (UTC)."),
    rate: float = typer.Option(0, help="Events a second; 0: as fast as possible."),
    duration: float = typer.Option(0, help="Seconds after which the run ends; 0: with the days, or with Ctrl-C."),
    live: bool = typer.Option(False, "--live", help="Events happen now, without end, at --rate."),
    to: str = typer.Option("kafka", help="kafka, or a file: .ndjson, .jsonl or .json, packed with .gz or .zst."),
    topic: str = typer.Option("", help="Topic, in place of raw-events."),
    encoding: str = typer.Option("json", help="How records travel to Kafka: json, avro (single-object encoding), or mixed."),
    seed: int = typer.Option(1, help="The same seed, options and start give the same bytes."),
    app_id: str = typer.Option("shop", "--app", help="Id of the app."),
    preload: int = typer.Option(0, help="Send so many events as fast as Kafka takes them, none dirty, without a ledger."),
    dirty: float = typer.Option(0.02, help="Share of messages that something happens to: resent, late, malformed, ...; 0: none."),
    ledger: Annotated[Path | None, typer.Option(help="File for the true answers, JSON.")] = None,
    compare: Annotated[Path | None, typer.Option(help="Send nothing: compare this ledger with SQL; exit 1 when they differ.")] = None,
    as_json: bool = typer.Option(False, "--json", help="Print JSON: to, sent, acknowledged, secs, events_per_sec, is_interrupted, ..."),
) -> None:
    """Send a made-up shop's events to Kafka or a file; or compare a ledger with the lake."""
    settings = load_settings()
    if compare is not None:
        _compare(settings, compare, as_json)
        return
    for name, value in (("--rate", rate), ("--duration", duration)):
        if not 0 <= value < float("inf"):
            raise UsageError(f"Option '{name}' is {value:g}; expected 0 or more, for example 1000.")
    if live and not rate:
        raise UsageError("Option '--live' is given without '--rate'; expected events a second, for example --live --rate 1000.")
    plan = build_plan(users, days, start, seed, app_id, dirty, live, datetime.now(UTC).date())
    topic, encode = topic or topic_name(settings, RAW_EVENTS), build_encode(encoding)
    if to != "kafka" and encoding != "json":
        raise UsageError(f"Option '--encoding' is '{encoding}' with '--to {to}'; a file holds lines of JSON: leave one of the two out.")
    if preload:
        _require_alone(preload, {"--live": live, "--ledger": ledger, "--to": to != "kafka" and to})
        report = _preload(plan, Producer(settings, topic), preload, rate, duration, encode)
        _print_report({"to": topic, **report, "seed": seed, "start": plan.start.isoformat()}, as_json)
        return
    if ledger is not None:
        _write(ledger, "")
    target: Target = KafkaTarget(settings, topic, encode) if to == "kafka" else FileTarget(Path(to))
    zone = settings.app_zones.get(app_id, settings.report_zone)
    report = _send(plan, target, rate, duration, ledger, zone)
    report = {"to": topic if to == "kafka" else to, **report, "seed": seed, "start": "" if live else plan.start.isoformat()}
    _print_report(report, as_json)


def _require_alone(preload: int, others: Mapping[str, object]) -> None:
    """Options that a preload does not know are refused: who asks for a ledger would wait for true answers in vain."""
    if preload < 0:
        raise UsageError(f"Option '--preload' is {preload}; expected a number of events, for example 1000000.")
    for name, value in others.items():
        if value:
            raise UsageError(
                f"Option '--preload' is given with '{name}'; a preload sends past days to Kafka and keeps no true answers. Leave one of the two out."
            )


def _print_report(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        print_figures(report)


def _preload(plan: Plan, producer: Producer, count: int, rate: float, duration: float, encode: Encode) -> dict[str, Any]:
    """Fill the topic with a progress bar; the figures to print."""
    producer.check_topic()
    began = time.monotonic()
    with _stop_on_interrupt() as stopping:
        with _progress_bar() as show:
            for progress in preload_topic(plan, producer, count, Pace(rate, duration, time.time, stopping.wait), encode):
                show(progress)
        producer.flush()
        is_interrupted = stopping.is_set()
    return _count(producer.sent, producer.acknowledged, time.monotonic() - began, is_interrupted)


def _count(sent: int, acknowledged: int, secs: float, is_interrupted: bool) -> dict[str, Any]:
    return {
        "sent": sent,
        "acknowledged": acknowledged,
        "secs": round(secs, 3),
        "events_per_sec": round(sent / secs),
        "is_interrupted": is_interrupted,
    }


def _send(plan: Plan, target: Target, rate: float, duration: float, ledger: Path | None, zone: str) -> dict[str, Any]:
    """Run the plan with a progress bar until it ends or is interrupted; the figures to print. A ledger counts days of `zone`."""
    answers = Ledger(plan, zone) if ledger is not None else None
    began = time.monotonic()
    sent = 0
    with _stop_on_interrupt() as stopping:
        with _progress_bar() as show:
            for progress in run_simulation(plan, target, Pace(rate, duration, time.time, stopping.wait), answers):
                sent = progress.sent
                show(progress)
        target.close()
        is_interrupted = stopping.is_set()
    secs = time.monotonic() - began
    if ledger is not None and answers is not None:
        _write(ledger, json.dumps(answers.report(), indent=1) + "\n")
    return _count(sent, target.acknowledged, secs, is_interrupted)


def _compare(settings: Settings, path: Path, as_json: bool) -> None:
    from pipeline.ask.reader import open_reader

    try:
        ledger = json.loads(path.read_text())
    except (OSError, ValueError):
        ledger = None
    missing = find_missing(ledger) if isinstance(ledger, dict) else []
    if not isinstance(ledger, dict) or missing:
        lacks = f" (it has no '{missing[0]}')" if missing else ""
        raise UsageError(f"File '{path}' is no ledger{lacks}; expected one that `headwater simulate --ledger FILE` wrote.")
    with open_reader(settings) as reader:
        compared = compare_ledger(ledger, reader.rows)
    wrong = list_differences(compared)
    names = ("figure", "expected", "found")
    if as_json:
        print_json({"app": ledger["app"], "figures": len(compared), "differences": [dict(zip(names, row, strict=True)) for row in wrong]})
    else:
        shown = wrong or [row for row in compared if not row[0].startswith(("dates.", "event_types.", "kpis."))]
        print_rows(names, shown, f"{len(compared) - len(wrong)} of {len(compared)} figures agree")
    if wrong:
        raise typer.Exit(1)


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that the run ends cleanly; the second one ends it at once."""
    stopping = threading.Event()

    def stop(number: int, frame: object) -> None:
        stopping.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    # Messages hold no cycles; looking for some among hundreds of thousands of them costs a tenth of the run.
    gc.freeze()
    gc.disable()
    try:
        yield stopping
    finally:
        gc.enable()
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress_bar() -> Iterator[Callable[[Progress], None]]:
    """A bar on standard error for people, from the first second on."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[sent]:,} events, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None, sent=0, rate=0.0, visible=False)

        def show(state: Progress) -> None:
            if state.secs >= 1:
                total = None if state.share is None else 1.0
                speed = state.sent / state.secs
                bar.update(task, visible=True, total=total, completed=state.share or 0, sent=state.sent, rate=speed)

        yield show


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise UsageError(f"File '{path}' cannot be written ({error.strerror}); expected a path in a folder of yours.") from None
