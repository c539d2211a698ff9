"""`headwater sql`, `views` and `check` as people call them, over a real lake."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from pipeline.ask.output_formats import Format, print_table, write_answer
from pipeline.ask.reader import LimitError, open_reader
from pipeline.ask.sql_shell import Shell
from pipeline.config import Settings
from pipeline.stack.programs import environment
from schemas.errors import UsageError
from tests.conftest import RunHeadwater
from tests.lake_rows import at, event, memory_lake, purchase, write_lake

ROWS = [
    event(event_id="a", attributes={"screen": "home | käse"}, event_timestamp=at(0)),
    event(event_id="b", endpoint_id=None, event_timestamp=at(1, millis=5)),
    purchase(9.5, 2, event_id="c", event_timestamp=at(2)),
]
ASKED = "select event_id, endpoint_id, event_timestamp, attributes, metrics from core.events order by event_id"


@pytest.fixture
def lake(settings: Settings) -> Settings:
    write_lake(settings, "events", ROWS)
    return settings


def write(settings: Settings, form: Format, file: Path, sql: str = ASKED) -> None:
    with open_reader(settings) as reader, reader.ask(sql) as answer:
        write_answer(answer, form, file)


class TestFormats:
    def test_json_is_a_list_of_objects(self, lake: Settings, tmp_path: Path) -> None:
        write(lake, Format.JSON, tmp_path / "out.json")
        found = json.loads((tmp_path / "out.json").read_text())
        assert found[0] == {
            "event_id": "a",
            "endpoint_id": "phone-1",
            "event_timestamp": "2026-11-23T12:00:00.000000Z",
            "attributes": {"screen": "home | käse"},
            "metrics": {},
        }
        assert [row["endpoint_id"] for row in found] == ["phone-1", None, "phone-1"]
        assert found[2]["metrics"] == {"_item_price": 9.5, "_quantity": 2.0}

    def test_csv_has_a_header_and_json_for_maps(self, lake: Settings, tmp_path: Path) -> None:
        write(lake, Format.CSV, tmp_path / "out.csv")
        found = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
        assert [row["event_timestamp"] for row in found][1] == "2026-11-23T12:01:00.005000Z"
        assert json.loads(found[0]["attributes"]) == {"screen": "home | käse"}
        assert found[1]["endpoint_id"] == ""

    def test_parquet_keeps_the_types(self, lake: Settings, tmp_path: Path) -> None:
        write(lake, Format.PARQUET, tmp_path / "out.parquet")
        found = pq.read_table(tmp_path / "out.parquet")
        assert [str(field.type) for field in found.schema][:3] == ["string", "string", "timestamp[us, tz=UTC]"]
        assert found["metrics"].to_pylist()[2] == [("_item_price", 9.5), ("_quantity", 2.0)]

    def test_markdown_escapes_what_would_end_a_cell(self, lake: Settings, tmp_path: Path) -> None:
        write(lake, Format.MARKDOWN, tmp_path / "out.md")
        assert (tmp_path / "out.md").read_text().splitlines()[:3] == [
            "| event_id | endpoint_id | event_timestamp | attributes | metrics |",
            "| --- | --- | --- | --- | --- |",
            '| a | phone-1 | 2026-11-23T12:00:00.000Z | {"screen": "home \\| käse"} | {} |',
        ]

    @pytest.mark.parametrize("form", [form for form in Format if form is not Format.PARQUET])
    def test_every_kind_of_value_can_be_written(self, lake: Settings, tmp_path: Path, form: Format) -> None:
        sql = """
            select sum(i) as sum, 1.5::decimal(10, 2) as d, uuid() as u, interval 3 day as span, time '10:00' as t, date '2026-11-23' as day,
                timestamp '2026-11-23 10:00:00' as plain, [1, 2] as l, {'a': 1, 'at': timestamptz '2026-11-23'} as s, map {'k': 1.5} as m,
                '\\xFF'::blob as b, '{"x": 1}'::json as j, null as n, true as bo, 1e300 as f, 'a "quoted", text' as q, 1 as same, 2 as same
            from range(3) t(i)
        """
        write(lake, form, tmp_path / "out", sql)
        text = (tmp_path / "out").read_text()
        assert "2026-11-23" in text
        if form is Format.JSON:
            (row,) = json.loads(text)
            assert (row["sum"], row["d"], row["l"], row["m"], row["j"]) == (3, 1.5, [1, 2], {"k": 1.5}, {"x": 1})
            assert (row["n"], row["bo"], row["same"], row["same_1"]) == (None, True, 1, 2)
            assert row["plain"] == "2026-11-23T10:00:00.000000"

    @pytest.mark.parametrize("form", list(Format))
    def test_answer_of_no_rows_is_written_too(self, lake: Settings, tmp_path: Path, form: Format) -> None:
        write(lake, form, tmp_path / "out", ASKED.replace("order by", "where false order by"))
        if form is Format.JSON:
            assert json.loads((tmp_path / "out").read_text()) == []

    @pytest.mark.parametrize("form", [Format.CSV, Format.JSON, Format.PARQUET, Format.MARKDOWN])
    def test_query_that_ends_badly_while_it_is_written_leaves_no_file(self, lake: Settings, tmp_path: Path, form: Format) -> None:
        brief = lake.model_copy(update={"query_secs_max": 0.3})
        (tmp_path / "out").write_text("before")
        with pytest.raises(LimitError, match="HEADWATER_QUERY_SECS_MAX"):
            write(brief, form, tmp_path / "out", "select i, i::varchar as text from range(100000000000) t(i)")
        assert (tmp_path / "out").read_text() == "before"
        assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["out"]

    def test_file_that_cannot_be_written_is_named(self, lake: Settings, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"out\.csv' cannot be written: No such file or directory"):
            write(lake, Format.CSV, tmp_path / "missing" / "out.csv")

    def test_table_shows_the_first_rows_and_says_so(self, lake: Settings) -> None:
        console = Console(file=io.StringIO(), width=100)
        with open_reader(lake) as reader, reader.ask("select i from range(1000) t(i)") as answer:
            print_table(answer, console, rows_shown=3)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "│ 2 │" in text
        assert "│ 3 │" not in text
        assert "the first 3 rows; --rows N shows more" in text

    def test_table_that_is_too_wide_for_the_terminal_is_shown_row_by_row(self, lake: Settings) -> None:
        console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
        with open_reader(lake) as reader, reader.ask("select * from core.events order by event_id limit 2") as answer:
            print_table(answer, console)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert "row 2" in [line.strip() for line in lines]
        assert ["event_id", "a"] in [line.split() for line in lines]


class TestCommand:
    def test_answer_is_a_table_with_one_row_a_line(self, lake: Settings, run_headwater: RunHeadwater) -> None:
        done = run_headwater("sql", "select count(*) as n, sum(revenue) as revenue from core.purchases")
        assert (done.returncode, done.stderr) == (0, "")
        assert "│ 1 │      19 │" in done.stdout

    def test_parameters_file_and_format_go_together(self, lake: Settings, run_headwater: RunHeadwater, tmp_path: Path) -> None:
        (tmp_path / "q.sql").write_text(
            "-- what was seen\nselect event_id from core.events where event_id >= $from and _partition = $p::int;"
        )
        done = run_headwater("sql", "--file", str(tmp_path / "q.sql"), "-p", "from=b", "-p", "p=0", "--json")
        assert (done.returncode, sorted(row["event_id"] for row in json.loads(done.stdout))) == (0, ["b", "c"])

    @pytest.mark.parametrize(
        ("name", "opening", "said"),
        [
            ("answer.parquet", b"PAR1", "parquet"),
            ("answer.csv", b"event_id", "csv"),
            ("ANSWER.JSON", b"[", "json"),
            ("answer.md", b"| event_id |", "markdown"),
        ],
    )
    def test_format_is_that_of_the_suffix_and_what_was_written_is_said(
        self, lake: Settings, run_headwater: RunHeadwater, tmp_path: Path, name: str, opening: bytes, said: str
    ) -> None:
        done = run_headwater("sql", "select event_id from core.events", "-o", str(tmp_path / name))
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == f"Wrote {tmp_path / name}: 3 rows, {said}.\n"
        assert (tmp_path / name).read_bytes().startswith(opening)

    def test_format_that_is_given_wins_over_the_suffix(self, lake: Settings, run_headwater: RunHeadwater, tmp_path: Path) -> None:
        file = tmp_path / "answer.data"
        done = run_headwater("sql", "select event_id from core.events limit 1", "--format", "csv", "-o", str(file))
        assert done.stderr == f"Wrote {file}: 1 row, csv.\n"
        refused = run_headwater("sql", "select 1", "-o", str(file))
        assert refused.returncode == 2
        assert "has the suffix '.data'; expected one of .csv, .json, .md, .parquet, .txt, or a --format" in refused.stderr

    def test_file_is_written_and_nothing_printed(self, lake: Settings, run_headwater: RunHeadwater, tmp_path: Path) -> None:
        done = run_headwater("sql", "select 1 as one", "--format", "csv", "-o", str(tmp_path / "out.csv"))
        assert (done.returncode, done.stdout, (tmp_path / "out.csv").read_text()) == (0, "", "one\n1\n")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("select * from duckdb_secrets()",), "headwater: Table function 'duckdb_secrets' is not allowed"),
            (("drop view core.events",), "headwater: A DROP statement is not run"),
            (("select evnt_id from core.events",), "Candidate bindings"),
            (("select $x",), "x"),
            (("select 1", "-p", "x"), "Parameter 'x' is not NAME=VALUE"),
            (("select 1", "--file", "q.sql"), "expected one of the two"),
            (("--file", "missing.sql"), "File 'missing.sql' cannot be read"),
            ((), "There is no statement"),
            (("select 1", "--format", "xml"), "xml"),
        ],
    )
    def test_wrong_use_is_one_line_and_exit_status_two(
        self, settings: Settings, run_headwater: RunHeadwater, arguments: tuple[str, ...], message: str
    ) -> None:
        done = run_headwater("sql", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
        assert "Traceback" not in done.stderr

    def test_ctrl_c_stops_the_query_without_a_stack_trace(self, lake: Settings) -> None:
        endless = "select sum(i * j) from range(1000000000) a(i), range(1000000000) b(j)"
        command = [sys.executable, "-m", "pipeline.cli", "sql", endless]
        asking = subprocess.Popen(
            command,
            env=os.environ | environment(lake),
            stderr=subprocess.PIPE,
            text=True,
            # Tests that run in the background have Ctrl-C ignored, and would hand that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread is about to fork here.
        )
        try:
            times = psutil.Process(asking.pid).cpu_times
            while (spent := times()).user < 3:  # Starting takes less: by then it is the query that runs.
                assert asking.poll() is None, spent
            asking.send_signal(signal.SIGINT)
            _, errors = asking.communicate(timeout=60)
        finally:
            asking.kill()
        assert (asking.returncode != 0, "Traceback" in errors) == (True, False), errors

    def test_views_are_listed_and_shown(self, settings: Settings, run_headwater: RunHeadwater) -> None:
        listed = json.loads(run_headwater("views", "--json").stdout)
        assert {"view": "core.events", "grain": "One row per event.", "reads": ["settings", "staging.events", "local_date"]} in listed
        shown = json.loads(run_headwater("views", "show", "core.sessions", "--json").stdout)
        assert {"name": "started_at", "type": "timestamp with time zone"} in shown["columns"]
        assert shown["sql"].startswith("-- One row per app_id, endpoint_id and session_id.")
        # What is piped parses: nothing is wrapped.
        assert shown["sql"] in run_headwater("views", "show", "core.sessions").stdout
        wrong = run_headwater("views", "show", "core.session")
        assert (wrong.returncode, "Did you mean 'core.sessions'?" in wrong.stderr) == (2, True)

    def test_check_passes_on_a_lake_in_order_and_fails_with_rows_on_another(self, lake: Settings, run_headwater: RunHeadwater) -> None:
        done = run_headwater("check", "--json")
        found = json.loads(done.stdout)
        # The rows are of a fixed day: on all later ones the lake is stale, which is a warning.
        states = {check["check"]: check["state"] for check in found["checks"] if check["check"] != "checks.assert_events_are_fresh"}
        assert (done.returncode, found["ok"], set(states.values())) == (0, True, {"ok"})
        write_lake(lake, "events", [event(_offset=ROWS[0]["_offset"], event_id="again")])
        done = run_headwater("check", "--json")
        failed = [check for check in json.loads(done.stdout)["checks"] if not check["ok"]]
        assert (done.returncode, [check["check"] for check in failed]) == (1, ["checks.assert_each_record_landed_once"])
        assert failed[0]["rows"][0]["_offset"] == ROWS[0]["_offset"]
        done = run_headwater("check")
        assert (done.returncode, "FAILED" in done.stdout) == (1, True)
        done = run_headwater("check", "--only", "sessions_cover_activity", "--only", "assert_events_are_fresh", "--json")
        assert (done.returncode, len(json.loads(done.stdout)["checks"])) == (0, 2)
        done = run_headwater("check", "--only", "sesions_cover_activity")
        assert (done.returncode, "Did you mean 'sessions_cover_activity'?" in done.stderr) == (2, True)


@pytest.fixture
def shell(lake: Settings) -> Iterator[tuple[Shell, io.StringIO]]:
    out = io.StringIO()
    shell = Shell(lake, Console(file=out, width=120))
    yield shell, out
    shell.close()


class TestShell:
    def test_statement_over_several_lines_is_answered_at_its_semicolon(self, shell: tuple[Shell, io.StringIO], lake: Settings) -> None:
        with create_pipe_input() as typed:
            typed.send_text("select 40 +\n2 as answer;\n.quit\n")
            shell[0].run(typed, DummyOutput())
        assert "│     42 │" in shell[1].getvalue()
        assert "+2 as answer;" in (lake.home / "sql_history").read_text().replace("\n", "")

    def test_end_of_input_leaves(self, shell: tuple[Shell, io.StringIO]) -> None:
        with create_pipe_input() as typed:
            typed.send_text("\x04")
            shell[0].run(typed, DummyOutput())

    def test_error_is_printed_and_the_session_goes_on(self, shell: tuple[Shell, io.StringIO]) -> None:
        for text in ("drop view core.events;", "select nope;", ".what", "select 'on' as went;"):
            assert shell[0].enter(text)
        text = shell[1].getvalue()
        assert "DROP statement is not run" in text
        assert "nope" in text
        assert "'.what' is no command" in text
        assert "│ on   │" in text

    def test_answers_stay_of_one_version_until_refresh(self, shell: tuple[Shell, io.StringIO], lake: Settings) -> None:
        sql = "select 'seen' || count(*) as n from core.events;"
        shell[0].enter(sql)
        write_lake(lake, "events", [event()])
        shell[0].enter(sql)
        assert "seen4" not in shell[1].getvalue()
        shell[0].enter(".refresh")
        shell[0].enter(sql)
        assert "seen4" in shell[1].getvalue()

    def test_refresh_while_the_store_is_away_keeps_the_old_answers(self, shell: tuple[Shell, io.StringIO], lake: Settings) -> None:
        shell[0]._settings = lake.model_copy(update={"s3_endpoint": "http://127.0.0.1:9", "s3_access_key_id": "a"})
        shell[0].enter(".refresh")
        shell[0].enter("select 'seen' || count(*) as n from core.events;")
        assert "The answers stay those of before." in shell[1].getvalue()
        assert "seen3" in shell[1].getvalue()

    def test_views_are_listed_with_their_grain_and_columns(self, shell: tuple[Shell, io.StringIO]) -> None:
        for text in (".views", ".views core.purchases", ".views core.nope", ".help"):
            assert shell[0].enter(text)
        text = shell[1].getvalue()
        assert "core.sessions  One row per app_id, endpoint_id and session_id." in text
        assert "  revenue  double" in text
        assert "'core.nope' is no view" in text
        assert ".refresh" in text

    def test_quit_leaves(self, shell: tuple[Shell, io.StringIO]) -> None:
        assert not shell[0].enter(".quit")


def test_memory_lake_agrees_with_the_real_one(lake: Settings) -> None:
    """What the other tests ask in memory is what a reader says of the same rows."""
    sql = "select * from core.endpoint_days order by all"
    with open_reader(lake) as reader, memory_lake(lake, ROWS) as con:
        assert reader.rows(sql) == con.execute(sql).fetchall() != []
