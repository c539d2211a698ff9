"""What answers cost: the charts of the eight pages, the eleven macros, ten KPIs and every check, over a simulated month in a folder; no Kafka."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.answers.days import Days
from pipeline.answers.kpi_question import ask_kpi
from pipeline.ask.checks import list_checks, run_check
from pipeline.ask.reader import Reader
from pipeline.config import Settings
from pipeline.simulate.shop import CAMPAIGNS
from schemas.errors import HeadwaterError
from tests.bench.answer_lake import FIRST, LAST, write_answer_lake
from tests.bench.rows import Budget, Row, Sizes
from tests.folder_lake import folder_reader

DAYS = f"'{FIRST}', '{LAST}'"
PAGES = ("overview", "usage", "revenue", "events", "demographics", "campaigns", "transactional", "funnels")
BUY = "'_monetization.purchase'"
MACROS = {
    "funnel": f"funnel(['_session.start', 'product.view', 'cart.add', {BUY}], {DAYS})",
    "paths": f"paths({DAYS}, start_event := '_session.start')",
    "trend": f"trend('_session.start', {DAYS}, measure := 'subjects')",
    "attribution": f"attribution({BUY}, {DAYS}, model := 'position', value := 'revenue')",
    "lift": f"lift('{CAMPAIGNS[0].campaign_id}', {BUY}, {DAYS})",
    "retention": f"retention({DAYS}, period := 'day')",
    "weekly_return": f"weekly_return({DAYS})",
    "cohorts": f"cohorts({DAYS}, period := 'week')",
    "stickiness": f"stickiness({DAYS})",
    "lifecycle": f"lifecycle({DAYS}, period := 'week')",
    "rfm": f"rfm({DAYS})",
}
KPIS = (
    *("unique-deliveries", "successful-delivery-rate", "email-open-rate", "email-open-rate-by-people", "push-open-rate", "sms-spend"),
    *("txn-emails-sent", "txn-emails-delivery-rate", "txn-sms-sent", "journey-emails-opened"),
)
# By section of the table: a question's name, and what asks it: it returns rows.
Questions = Mapping[str, Callable[[Reader], int]]


def questions() -> dict[str, Questions]:
    """By kind: what a person can ask, each as the command or the page asks it."""
    return {
        "page": {page: _count_rows(f"from kpis.{page}") for page in PAGES},
        "macro": {name: _count_rows(f"from {call}") for name, call in MACROS.items()},
        "kpi": {name: _ask_kpi(name) for name in KPIS},
    }


def measure_answers(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """A row for each page, macro and KPI, and for `headwater check` as a whole, with the slowest of each held against the time that a query has."""
    ground.home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=ground.home) as folder:
        count = write_answer_lake(Path(folder), ground, sizes.answer_events)
        with folder_reader(Path(folder), ground) as reader:
            yield from ask_all(reader, count, ground.query_secs_max)


def ask_all(reader: Reader, count: int, secs_max: float, kinds: Sequence[str] = ("page", "macro", "kpi", "check")) -> Iterator[Row]:
    """The rows of these kinds, over a lake of `count` events."""
    asked = questions() | {"check": {check.name: _run(check.name) for check in list_checks(reader.views)}}
    for kind in kinds:
        rows = [_measure(reader, kind, name, ask, count) for name, ask in asked[kind].items()]
        if kind == "check":
            secs, cpu_us = sum(row.value or 0 for row in rows), sum(row.cpu_us or 0 for row in rows)
            yield Row("answers", "headwater check", cpu_us, value=secs, unit="s", note=f"{len(rows)} checks, one after another")
            # The others are too many for a table.
            yield from sorted(rows, key=_cpu, reverse=True)[:3]
        else:
            yield from rows
        slowest = max(rows, key=_cpu)
        yield Row(
            "answers",
            f"slowest {kind}",
            slowest.cpu_us,
            value=slowest.value,
            unit="s",
            budget=Budget("value", secs_max),
            note=f"{slowest.what}, of {count:,} events",
            is_failed=any(row.is_failed for row in rows),
        )


def _measure(reader: Reader, kind: str, name: str, ask: Callable[[Reader], int], count: int) -> Row:
    """Wall and CPU of this process, all its threads, until the last row is here; an answer that fails says why."""
    began, used = time.perf_counter(), time.process_time()
    try:
        found, error = ask(reader), ""
    except HeadwaterError as failure:
        found, error = 0, f"{type(failure).__name__}: {failure}".splitlines()[0]
    secs, cpu_secs = time.perf_counter() - began, time.process_time() - used
    note = error or f"{found:,} rows; {cpu_secs:.1f} s of CPU"
    return Row("answers", f"{kind} {name}", cpu_secs / count * 1e6, value=secs, unit="s", note=note, is_failed=bool(error))


def _cpu(row: Row) -> float:
    """What else runs on the machine changes seconds, not this."""
    return row.cpu_us or 0.0


def _count_rows(sql: str) -> Callable[[Reader], int]:
    return lambda reader: len(reader.rows(sql))


def _ask_kpi(name: str) -> Callable[[Reader], int]:
    days = Days(FIRST, LAST, LAST)
    return lambda reader: len(ask_kpi(reader, name, days, "UTC").rows)


def _run(check: str) -> Callable[[Reader], int]:
    def run(reader: Reader) -> int:
        result = run_check(reader, check)
        if result.error is not None:
            raise RuntimeError(result.error)
        return result.row_count or 0

    return run
