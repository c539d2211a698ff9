"""`headwater dead-letters replay`: each dead letter lands once, whatever dies when; and the same without the guard, which doubles."""

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Settings
from pipeline.replay.fix_script import ScriptFix
from pipeline.replay.fix_sql import SqlFix
from pipeline.stack.programs import environment
from schemas.errors import UsageError
from schemas.tables import load_table
from tests.conftest import RunHeadwater
from tests.lake_rows import as_arrow, dead_letter
from tests.rigged_replay import STEPS
from tests.stream import GARBAGE, Record, audit, event, has_landed, landed_count, landed_ids, raw_events, rows, send
from tests.topic_changes import delete_records
from tests.worker_process import WorkerProcess, running, wait_until

# A command or a worker takes its time where other tests run beside it.
wait_long = partial(wait_until, secs_max=180)


def broken(name: str, endpoint_id: str = "phone-1") -> Record:
    """An event whose type is a number: a dead letter of reason wrong_type until TYPE_FIX mends it."""
    return event(name, endpoint_id, event_type=7)


TYPE_FIX = 'replace(value, \'"event_type": 7\', \'"event_type": "screen.view"\')'
WITHOUT_ID = (b"shop/phone-1", broken("x")[1].replace(b'"event_id": "x", ', b""))


def fast_worker(settings: Settings, folder: Path) -> WorkerProcess:
    return WorkerProcess(settings, folder, HEADWATER_FLUSH_SECS_MAX="0.3")


def rigged(settings: Settings, *arguments: str, **rig: str) -> subprocess.Popen[str]:
    """A rigged replay as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.rigged_replay", *arguments],
        env=os.environ | environment(settings) | rig,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def replay(settings: Settings, *arguments: str, **rig: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, what it says as JSON, and standard error."""
    process = rigged(settings, *arguments, "--json", **rig)
    out, err = process.communicate(timeout=180)
    return process.returncode, json.loads(out) if out else {}, err


def reasons(settings: Settings) -> Counter[str]:
    return Counter(reason for (reason,) in rows(settings, "dead_letters", ["reason"]))


@pytest.mark.timeout(900)
def test_what_is_replayed_after_a_fix_lands_once_and_what_cannot_be_is_named(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    small = settings.model_copy(update={"message_bytes_max": 2000})
    send(small, [*[broken(f"broken-{number}", f"phone-{number}") for number in range(5)], GARBAGE, WITHOUT_ID, WITHOUT_ID])
    send(small, [event("large", text="x" * 3000), event("twice"), event("twice")])
    with running(fast_worker(small, tmp_path)):
        wait_long(lambda: has_landed(small, 11), "everything")
        assert reasons(small) == {"wrong_type": 7, "not_json": 1, "too_large": 1, "duplicate": 1}

        # Dry run first: nothing is sent, nothing written.
        status, shown, _ = replay(small, "--since", "2020-01-01", "--fix-sql", TYPE_FIX)
        assert (status, shown["meant"], shown["landing"], shown["dead_again"]) == (0, 9, 7, {"not_json": 1})
        assert (shown["changed"], shown["sent"], shown["not_replayable"]) == (7, 0, {"too_large: their bytes were not kept": 1})
        assert all(b"screen.view" in base64.b64decode(one["after"]) for one in shown["examples"] if one["dead_again"] is None)
        assert (rows(small, "dead_letter_replays", ["step"]), landed_count(small)) == ([], 11)
        narrowed = (("--event-id", "broken-1"), 1), (("--until", "2020-01-01"), 0), (("--since", "2020-01-01", "--until", "2100-01-01"), 9)
        assert [replay(small, *choice)[1]["meant"] for choice, _ in narrowed] == [count for _, count in narrowed]
        _, shown, _ = replay(small, "--reason", "duplicate")
        assert (shown["meant"], shown["landing"]) == (1, 1)

        status, done, err = replay(small, "--since", "2020-01-01", "--fix-sql", TYPE_FIX, "--send")
        assert (status, done["sent"], err) == (0, 7, "")
        wait_long(lambda: has_landed(small, 18), "what was replayed")
        again = replay(small, "--since", "2020-01-01", "--fix-sql", TYPE_FIX, "--send")[1]
        assert (again["sent"], again["replayed"], again["meant"]) == (0, 7, 9)

        # Without a fix it becomes a dead letter again, which has a position of its own.
        assert replay(small, "--reason", "not_json", "--send")[1]["sent"] == 0
        assert replay(small, "--reason", "not_json", "--send", "--send-invalid")[1]["sent"] == 1
        wait_long(lambda: has_landed(small, 19), "the dead letter of the dead letter")
    found = landed_ids(small)
    assert {name: count for name, count in found.items() if name.startswith("broken")} == {f"broken-{number}": 1 for number in range(5)}
    # Two events without an id are two, each with an id that derives from the dead letter that it was.
    origins = {f"{topic_id}/{partition}/{offset}" for topic_id, partition, offset, reason in _positions(small) if reason == "wrong_type"}
    assert len([name for name in found if name in origins]) == 2
    (old, new) = sorted(
        row for row in rows(small, "dead_letters", ["_offset", "_partition", "_topic_id", "origin", "reason"]) if row[4] == "not_json"
    )
    assert (old[3], new[3]) == (None, f"{old[2]}/{old[1]}/{old[0]}")
    states = json.loads(
        run_headwater("sql", "select state, count(*) as n from core.dead_letter_replays group by all", "--format", "json").stdout
    )
    assert {row["state"]: row["n"] for row in states} == {"landed": 7, "dead again": 1}
    # A dead letter that was replayed is refused by its position, and the new one is named.
    refused = run_headwater("dead-letters", "replay", f"{raw_events(small)}/{old[1]}/{old[0]}", "--send")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"was replayed already, as {raw_events(small)}/{new[1]}/{new[0]}; it is not sent twice." in refused.stderr
    assert audit(small)["is_clean"]


def _positions(settings: Settings) -> list[tuple[Any, ...]]:
    return rows(settings, "dead_letters", ["_topic_id", "_partition", "_offset", "reason"])


@pytest.mark.parametrize("is_dedup_on", [False, True], ids=["dedup off", "dedup on"])
@pytest.mark.timeout(900)
def test_a_replay_that_is_killed_at_any_step_and_run_again_lands_each_dead_letter_once(
    settings: Settings, topics: list[str], tmp_path: Path, is_dedup_on: bool
) -> None:
    # Dedup must not be what saves it: with dedup off a second copy lands.
    found = settings.model_copy(update={"dedup_enabled": is_dedup_on})
    steps = STEPS if not is_dedup_on else ("before send commit", "after send commit", "before mark")
    send(found, [broken(f"{step}/{number}", f"phone-{number}") for step in steps for number in range(4)])
    expected = {f"{step}/{number}": 1 for step in steps for number in range(4)}
    with running(fast_worker(found, tmp_path)):
        wait_long(lambda: has_landed(found, len(expected)), "the dead letters")
        for step in steps:
            chosen = [one for one in _ids(found, step)]
            arguments = [*chosen, "--fix-sql", TYPE_FIX, "--send"]
            status, _, err = replay(found, *arguments, RIG_STEP=step)
            assert status == -9, (step, err)
        # Each run finishes what those before it began; this one the last.
        status, done, err = replay(found, "--reason", "wrong_type", "--fix-sql", TYPE_FIX, "--send")
        assert (status, err) == (0, "")
        wait_long(lambda: len(landed_ids(found)) == len(expected), "each event")
        # Whatever was sent twice would have landed before this.
        send(found, [event("last", f"phone-{number}") for number in range(40)])
        wait_long(lambda: landed_ids(found)["last"] >= (1 if is_dedup_on else 40), "the last ones")
    landed = {name: count for name, count in landed_ids(found).items() if name != "last"}
    assert landed == expected
    assert reasons(found)["duplicate"] == 0
    assert audit(found)["is_clean"]
    assert done["sent"] + done["finished"] >= 4


def _ids(settings: Settings, step: str) -> list[str]:
    topic = raw_events(settings)
    found = rows(settings, "dead_letters", ["event_id", "_partition", "_offset"])
    return [f"{topic}/{partition}/{offset}" for event_id, partition, offset in found if (event_id or "").startswith(f"{step}/")]


@pytest.mark.timeout(900)
def test_without_the_look_at_the_topic_the_same_kill_doubles(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    off = settings.model_copy(update={"dedup_enabled": False})
    send(off, [broken(f"broken-{number}", f"phone-{number}") for number in range(4)])
    with running(fast_worker(off, tmp_path)):
        wait_long(lambda: has_landed(off, 4), "the dead letters")
        arguments = ("--reason", "wrong_type", "--fix-sql", TYPE_FIX, "--send")
        assert replay(off, *arguments, RIG_STEP="before mark")[0] == -9
        assert replay(off, *arguments, RIG_BLIND="1")[1]["finished"] == 4
        wait_long(lambda: has_landed(off, 12), "everything twice")
    assert set(landed_ids(off).values()) == {2}


@pytest.mark.timeout(900)
def test_a_replay_that_is_stopped_is_kept_out_once_another_has_finished_for_it(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    off = settings.model_copy(update={"dedup_enabled": False})
    send(off, [broken(f"broken-{number}", f"phone-{number}") for number in range(4)])
    arguments = ("--reason", "wrong_type", "--fix-sql", TYPE_FIX, "--send")
    with running(fast_worker(off, tmp_path)):
        wait_long(lambda: has_landed(off, 4), "the dead letters")
        hold = tmp_path / "hold"
        stopped = rigged(off, *arguments, RIG_STEP="before send", RIG_HOLD=str(hold))
        try:
            wait_long(hold.exists, "the first replay, before it sends")
            status, done, _ = replay(off, *arguments)
            assert (status, done["finished"], done["sent"]) == (0, 4, 0)
            hold.unlink()
            _, err = stopped.communicate(timeout=180)
        finally:
            stopped.kill()
        assert stopped.returncode == 1
        assert "Another replay took chunk" in err
        wait_long(lambda: has_landed(off, 8), "each once")
        send(off, [event("last", f"phone-{number}") for number in range(40)])
        wait_long(lambda: landed_ids(off)["last"] == 40, "the last ones")
    assert {name: count for name, count in landed_ids(off).items() if name != "last"} == {f"broken-{number}": 1 for number in range(4)}


@pytest.mark.timeout(900)
def test_what_kafka_no_longer_tells_of_is_left_alone_and_said_until_a_person_sends_it(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    send(settings, [broken("lost-1"), broken("lost-2")], partition=0)
    arguments = ("--reason", "wrong_type", "--fix-sql", TYPE_FIX, "--send")
    with running(fast_worker(settings, tmp_path)):
        wait_long(lambda: has_landed(settings, 2), "the dead letters")
        assert replay(settings, *arguments, RIG_STEP="before send")[0] == -9
        send(settings, [event("later")], partition=0)
        wait_long(lambda: has_landed(settings, 3), "what came later")
        delete_records(settings, before=3)

        status, done, _ = replay(settings, *arguments)
        (chunk_id,) = done["untraceable"]
        assert (status, done["untraceable"], done["finished"], done["sent"]) == (1, {chunk_id: 2}, 0, 0)
        shown = run_headwater("dead-letters", "replay", *arguments)
        assert (shown.returncode, f"of chunk {chunk_id} were sent, Kafka no longer tells" in shown.stdout) == (1, True)
        assert (landed_ids(settings)["lost-1"], landed_ids(settings)["lost-2"]) == (0, 0)

        status, done, err = replay(settings, *arguments, "--send-untraceable")
        assert (status, done["untraceable"], done["finished"], err) == (0, {}, 2, "")
        wait_long(lambda: has_landed(settings, 5), "what a person sent")
        assert replay(settings, *arguments)[1]["finished"] == 0
    assert (landed_ids(settings)["lost-1"], landed_ids(settings)["lost-2"]) == (1, 1)


@pytest.mark.parametrize(
    ("step", "is_numbered"), [("before begin", True), ("inside begin", True), pytest.param("inside begin", False, id="control")]
)
@pytest.mark.timeout(900)
def test_of_two_replays_at_once_the_table_lets_one_begin(
    settings: Settings, topics: list[str], tmp_path: Path, step: str, is_numbered: bool
) -> None:
    off = settings.model_copy(update={"dedup_enabled": False})
    send(off, [broken(f"broken-{number}", f"phone-{number}") for number in range(6)])
    arguments = ("--reason", "wrong_type", "--fix-sql", TYPE_FIX, "--send")
    with running(fast_worker(off, tmp_path)):
        wait_long(lambda: has_landed(off, 6), "the dead letters")
        hold = tmp_path / "hold"
        # The look at the topic, which would save most of it too, is off.
        guards = {"RIG_BLIND": "1"} if is_numbered else {"RIG_BLIND": "1", "RIG_UNNUMBERED": "1"}
        first = rigged(off, *arguments, "--json", RIG_STEP=step, RIG_HOLD=str(hold), **guards)
        try:
            # The first has chosen; before it begins, another replay of the same begins and ends.
            wait_long(hold.exists, f"the first replay, {step}")
            assert replay(off, *arguments, **guards)[1]["sent"] == 6
            hold.unlink()
            out, _ = first.communicate(timeout=180)
        finally:
            first.kill()
        said = json.loads(out)
        assert (first.returncode, said["sent"], said["taken"]) == ((0, 0, 6) if is_numbered else (0, 6, 0))
        wait_long(lambda: has_landed(off, 12 if is_numbered else 18), "what was sent")
    assert set(landed_ids(off).values()) == {1 if is_numbered else 2}


LETTERS = [
    dead_letter(value=b'{"a": 1}', event_id="e1", value_bytes=8),
    dead_letter(value=b"\xff", reason="not_utf8", value_bytes=1),
    dead_letter(value=b"{", value_bytes=1),
]


def fixed_by(expression: str) -> list[bytes | None]:
    fix = SqlFix(expression, 10, 500_000_000)
    try:
        return fix.apply(as_arrow(load_table("dead_letters"), LETTERS))
    finally:
        fix.close()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("replace(value, '1', '2')", [b'{"a": 2}', None, b"{"]),
        ("json_merge_patch(value, '{\"b\":2}')", [b'{"a":1,"b":2}', b'{"b":2}', None]),
        ("case when reason = 'not_utf8' then bytes end -- a remark", [None, b"\xff", None]),
        ("null", [None, None, None]),
        ("event_id", [b"e1", None, None]),
    ],
)
def test_a_fix_by_sql_gives_each_dead_letter_its_new_value(expression: str, expected: list[bytes | None]) -> None:
    assert fixed_by(expression) == expected


@pytest.mark.attack("S3")
@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("read_text('/etc/passwd')", "Function 'read_text' is not allowed"),
        ("(select value from dead_letter)", "Relation 'dead_letter' is not a view"),
        ("(select content from read_text('/etc/passwd'))", "Table function 'read_text' is not allowed"),
        ("value) from dead_letter, (select 1", "expected one expression"),
        ("value), (value", "expected one expression"),
        ("value; select 1", "expected one expression"),
        ("value) order by (_offset", "expected one expression"),
        ("valeu", "expected one expression over value"),
        ("count(*)", "expected one"),
        ("length(value)", "yields BIGINT; expected the new value as text"),
        ("unnest([value, value])", "gives 6 values for 3 dead letters"),
        ("getenv('HOME')", "Function 'getenv' is not allowed"),
    ],
)
def test_a_fix_by_sql_that_is_more_than_an_expression_of_values_is_refused(expression: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        fixed_by(expression)
    assert message in str(refused.value)


@pytest.mark.attack("S3")
def test_a_fix_by_sql_that_takes_too_long_is_named_with_its_limit() -> None:
    fix = SqlFix("(select sum(a.range * b.range) from range(1000000) a, range(1000000) b)::text", 0.2, 500_000_000)
    try:
        with pytest.raises(UsageError, match=r"took longer than 0\.2 s for a chunk of 3 dead letters \(HEADWATER_QUERY_SECS_MAX\)"):
            fix.apply(as_arrow(load_table("dead_letters"), LETTERS))
    finally:
        fix.close()


def scripted(file: Path, text: str) -> list[bytes | None]:
    file.write_text(text)
    fix = ScriptFix(file, 5)
    try:
        return fix.apply(as_arrow(load_table("dead_letters"), LETTERS))
    finally:
        fix.close()


def test_a_fix_by_script_gives_bytes_or_leaves_out_and_may_print(tmp_path: Path) -> None:
    text = "def fix(value):\n    print('looking at', value)\n    return value * 2 if value.startswith(b'{') else None\n"
    assert scripted(tmp_path / "fix.py", text) == [b'{"a": 1}{"a": 1}', None, b"{{"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def mend(value): return value", "has no function fix that can be called (KeyError: 'fix')"),
        ("def fix(value) return", "has no function fix that can be called (SyntaxError"),
        ("def fix(value): return value.decode()", "returned str for b'{\"a\": 1}'"),
        ("def fix(value): return {}[value]", "raised KeyError"),
        ("import os\ndef fix(value): os._exit(3)", "ended, or took longer than 5 s"),
        ("import time\ndef fix(value): time.sleep(60)", "ended, or took longer than 5 s"),
    ],
)
def test_a_fix_by_script_that_fails_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        scripted(tmp_path / "fix.py", text)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "No dead letters are named; expected --reason"),
        (["--reason", "ugly"], "Option '--reason' is 'ugly'; expected one of empty"),
        (["--since", "yesterday"], "Option '--since' is 'yesterday'; expected a moment in ISO 8601"),
        (["raw-events/0"], "Argument POSITION is 'raw-events/0'; expected topic/partition/offset"),
        (["--reason", "not_json", "--fix-sql", "value", "--fix-script", "fix.py"], "are both given; expected one fix"),
        (["--reason", "not_json", "--fix-script", "nowhere.py"], "Option '--fix-script' is 'nowhere.py', which cannot be read"),
    ],
)
def test_wrong_arguments_end_with_status_2(run_headwater: RunHeadwater, arguments: list[str], message: str) -> None:
    done = run_headwater("dead-letters", "replay", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_values_are_shown_without_what_would_steer_a_terminal(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    send(settings, [(b"k", b"\x1b[2J not json")])
    with running(fast_worker(settings, tmp_path)):
        wait_long(lambda: has_landed(settings, 1), "the dead letter")
    shown = run_headwater("dead-letters", "replay", "--reason", "not_json").stdout
    assert not {char for char in shown if char < " "} - {"\n"}
    assert r"\x1b[2J not json" in shown
    assert "Nothing was sent." in shown
