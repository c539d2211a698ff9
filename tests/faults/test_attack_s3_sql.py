"""Attack S3: SQL from people reads the views and nothing else, and what is a value stays one."""

import contextlib
import importlib.resources
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import duckdb
import pytest

from pipeline.ask import reader as reader_module
from pipeline.ask.library import Library
from pipeline.ask.reader import Reader, open_reader
from pipeline.ask.spill import SpillFolder
from pipeline.config import Settings
from pipeline.replay import fix_sql
from pipeline.replay.fix_sql import SqlFix
from pipeline.replay.selection import Choice, select_letters
from pipeline.stores import build_store
from pipeline.trace.lake_search import find_dead_letters, find_events
from pipeline.trace.wanted import Wanted
from schemas.errors import UsageError
from schemas.tables import load_table
from sinks.dead_letter_replays import DeadLetterReplays
from sinks.lake import LakeTable
from tests.faults.inputs.sql_attacks import EXPRESSIONS, STATEMENTS, VALUES, Trap, assert_inert, attempt, vary
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.wire.canary import Canary
from tests.lake_rows import as_arrow, dead_letter, event, write_lake

LETTERS = as_arrow(load_table("dead_letters"), [dead_letter(value=b'{"a": 1}', event_id="e1", value_bytes=8)])
MEMORY = 200_000_000


@pytest.fixture
def trap(tmp_path: Path, canary: Canary, monkeypatch: pytest.MonkeyPatch) -> Trap:
    folder = tmp_path / "trap"
    folder.mkdir()
    found = Trap(folder, canary)
    monkeypatch.setenv("HEADWATER_TRAP", found.secret)
    return found


def statements(schedule: Schedule) -> list[str]:
    """Every payload as it is, and in dresses."""
    plain = [
        *STATEMENTS,
        *(f"select {each}" for each in EXPRESSIONS),
        *(f"select * from core.events where app_id = {each}" for each in EXPRESSIONS),
    ]
    return plain + [vary(each, schedule.chance) for each in plain for _ in range(schedule.choose(3, 60))]


def expressions(schedule: Schedule) -> list[str]:
    more = [f"value) from dead_letter, (select {each} as value" for each in EXPRESSIONS]
    more += [f"value); {each} --" for each in STATEMENTS]
    plain = [*EXPRESSIONS, *more]
    return plain + [vary(each, schedule.chance) for each in plain for _ in range(schedule.choose(1, 30))]


def asked_of(reader: Reader) -> Callable[[str], object]:
    def run(sql: str) -> object:
        with reader.ask(sql) as answer:
            return answer.fetchall()

    return run


def fixed_by(expression: str) -> object:
    with contextlib.closing(SqlFix(expression, 10, MEMORY)) as fix:
        return fix.apply(LETTERS)


def test_attack_s3_statements_reach_nothing_but_the_views(settings: Settings, trap: Trap, schedule: Schedule, proof: Proof) -> None:
    write_lake(settings, "events", [event()])
    ran = 0
    payloads = statements(schedule)
    with open_reader(settings) as reader:
        # The lake's own server is asked, the canary is not; both are on this machine.
        for payload in payloads:
            ran += assert_inert(asked_of(reader), payload, trap)
        assert asked_of(reader)("select count(*) from core.events") == [(1,)]
    proof.note(injections=len(payloads), refused=len(payloads) - ran, harmless=ran)
    assert ran < len(payloads) / 10


def test_attack_s3_fixes_of_dead_letters_are_expressions_of_values(trap: Trap, schedule: Schedule, proof: Proof) -> None:
    payloads = expressions(schedule)
    ran = sum(assert_inert(fixed_by, payload, trap) for payload in payloads)
    assert fixed_by("upper(value)") == [b'{"A": 1}']
    proof.note(injections=len(payloads), refused=len(payloads) - ran, harmless=ran)


def test_attack_s3_values_stay_values(settings: Settings, trap: Trap, schedule: Schedule, proof: Proof) -> None:
    write_lake(settings, "events", [event()])
    write_lake(settings, "dead_letters", [dead_letter(event_id="e1")])
    payloads = [*VALUES, *(vary(each, schedule.chance) for each in VALUES for _ in range(schedule.choose(0, 8)))]
    events, dead = (LakeTable(build_store(settings), load_table(name)) for name in ("events", "dead_letters"))
    for table in (events, dead):
        table.refresh()
    replays = DeadLetterReplays(build_store(settings)).origins()
    with open_reader(settings) as reader:

        def by_parameter(value: str) -> object:
            with reader.ask("select event_id from core.events where event_id = $given", {"given": value}) as answer:
                return answer.fetchall()

        def by_choice(value: str) -> object:
            return select_letters(dead, replays, Choice(event_id=value), ["raw-events"]).meant

        ways: dict[str, Callable[[str], object]] = {
            "sql -p": by_parameter,
            "replay --event-id": by_choice,
            "replay POSITION": lambda value: Choice(positions=(value,)).places(),
            "replay --reason": lambda value: Choice(reasons=(value,)),
            "trace": lambda value: [*find_events(events, Wanted(value)), *find_dead_letters(dead, Wanted(value))],
        }
        for name, run in ways.items():

            def find_nothing(value: str, name: str = name, run: Callable[[str], object] = run) -> None:
                assert run(value) in ([], 0), f"{name} found something by {value!r}"

            for payload in payloads:
                assert_inert(find_nothing, payload, trap)
        # What is there is found by its own id.
        assert (by_choice("e1"), len(find_dead_letters(dead, Wanted("e1")))) == (1, 1)
    assert trap.harm("") == ""
    proof.note(injections=len(ways) * len(payloads))


def test_attack_s3_a_fix_is_bounded_in_memory() -> None:
    with pytest.raises(UsageError, match="needed more memory than HEADWATER_QUERY_MEMORY_BYTES_MAX"):
        fixed_by("(select string_agg(i::varchar || repeat('x', 100), '') from range(10000000) t(i))")


def _open_wide() -> duckdb.DuckDBPyConnection:
    """DuckDB as it comes, with the extension that reads from servers; what is not there is not fetched, so that tests need no network."""
    con = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    file = importlib.resources.files("duckdb_extension_httpfs") / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
    con.execute(f"load '{file}'")
    con.execute("create schema core; create view core.events as select 'e' as event_id, 'a' as app_id")
    return con


def test_attack_s3_without_the_checker_and_the_lock_statements_do_harm_control(settings: Settings, trap: Trap, proof: Proof) -> None:
    harms: dict[str, int] = {}
    with mock.patch.object(reader_module, "check_sql"), Reader(_open_wide(), Library({}), settings, SpillFolder()) as reader:
        # Last what shuts itself out.
        for payload in sorted([*STATEMENTS, *(f"select {each}" for each in EXPRESSIONS)], key=lambda each: each.startswith("set ")):
            _, harm = attempt(asked_of(reader), payload, trap)
            for each in filter(None, harm.split(", ")):
                harms[each] = harms.get(each, 0) + 1
    assert {"read the file", "wrote a file", "asked the server"} <= set(harms), harms
    proof.show(", ".join(f"{count} payloads {harm}" for harm, count in harms.items()))


def test_attack_s3_without_the_checker_and_the_lock_fixes_do_harm_control(trap: Trap, proof: Proof) -> None:
    harmful = 0
    with mock.patch.object(fix_sql, "check_sql"), mock.patch.object(fix_sql, "open_duckdb", _open_unlocked):
        for payload in EXPRESSIONS:
            harmful += bool(attempt(fixed_by, payload, trap)[1])
    proof.show(f"{harmful} fixes read the file or asked the server" if harmful > 8 else "")


def _open_unlocked(**_: object) -> "_Unlocked":
    return _Unlocked(_open_wide())


class _Unlocked:
    """A connection that keeps no lock."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def execute(self, sql: str, *given: object) -> object:
        return self._con.execute("select 1" if sql.startswith("set ") else sql, *given)

    def __getattr__(self, name: str) -> object:
        return getattr(self._con, name)


def test_attack_s3_values_that_are_written_into_sql_find_what_they_should_not_control(trap: Trap, proof: Proof) -> None:
    con = _open_wide()

    def by_text(value: str) -> object:
        return con.execute(f"select event_id from core.events where event_id = '{value}'").fetchall()

    found = 0
    for payload in VALUES:
        was_run, harm = attempt(by_text, payload, trap)
        with contextlib.suppress(duckdb.Error):
            found += bool(harm) or (was_run and by_text(trap.arm(payload)) != [])
    con.close()
    proof.show(f"written into SQL, {found} of {len(VALUES)} values found every row, read the file or wrote one" if found > 5 else "")
