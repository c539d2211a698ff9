"""The report of the faults says no more than what ran: each way in which a row may fail to hold is one by which it does not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.__main__ import find_broken
from tests.faults.report import problems, read_results, read_strays, totals, write_markdown
from tests.faults.rows import ATTACKS, EXCUSED, FAULTS

FOLDER = Path(__file__).parent / "faults"


LINE = {"seed": 1, "injections": 3, "records": 100, "lost": 0, "duplicate": 0}


def line(row: str = "05", **given: Any) -> dict[str, Any]:
    return {
        "row": row,
        "test": f"t::test_fault_{row}_x",
        "is_control": False,
        "outcome": "passed",
        "why": "",
        "secs": 1.0,
        "figures": LINE,
    } | given


def control(row: str = "05", showed: str = "duplicate 7", **given: Any) -> dict[str, Any]:
    return line(row, is_control=True, figures={"seed": 1, "showed": showed} if showed else {"seed": 1}, **given)


def problem_of(tmp_path: Path, *lines: dict[str, Any]) -> str:
    file = tmp_path / "results.ndjson"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return problems(read_results(file)).get("05", "")


def test_a_row_holds_with_a_test_and_a_control_that_showed_its_defect(tmp_path: Path) -> None:
    assert problem_of(tmp_path, line(), control()) == ""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "no test of it has run"),
        ([control()], "no test of it has run"),
        ([line(outcome="skipped"), control()], "skipped: test_fault_05_x"),
        ([line(), line(outcome="skipped"), control()], "skipped: test_fault_05_x"),
        ([line(figures={"seed": 1}), control()], "0 injections; expected 3 or more"),
        ([line(figures=LINE | {"injections": 2}), control()], "2 injections; expected 3 or more"),
        ([line(figures={"seed": 1, "injections": 3}), control()], "no record was held against a ledger"),
        ([line()], "no control has shown a defect"),
        ([line(), control(), control(showed="")], "showed nothing: test_fault_05_x"),
        ([line(), control(), control(outcome="skipped")], "skipped: test_fault_05_x"),
        ([line(), control(showed="")], "no control has shown a defect"),
        ([line(), line(outcome="failed"), control()], "failed: test_fault_05_x"),
        ([line(), control(), control(outcome="failed")], "failed: test_fault_05_x"),
        ([line(figures=LINE | {"lost": 1}), control()], "records were lost or doubled"),
        ([line(figures=LINE | {"duplicate": 1}), control()], "records were lost or doubled"),
        ([line("06"), control("06")], "no test of it has run"),
    ],
)
def test_a_row_does_not_hold_otherwise(tmp_path: Path, lines: list[dict[str, Any]], said: str) -> None:
    assert problem_of(tmp_path, *lines) == said


def test_totals_and_the_page_add_up_what_ran_and_controls_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "results.ndjson"
    file.write_text("".join(json.dumps(one) + "\n" for one in (line(), line("06"), control(), control("06"))))
    results = read_results(file)
    assert totals(results) == {"kills": 0, "records": 200, "lost": 0, "duplicate": 0}
    page = write_markdown(results, {"seed": "1"})
    assert "| 05 | zombie writer" in page
    assert "duplicate 7" in page
    assert f"rows that hold: 2 of {len(FAULTS) + len(ATTACKS)}" in page


def test_a_run_that_did_not_end_as_it_should_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "results.ndjson"
    file.write_text(json.dumps(line()) + "\n")
    results = read_results(file)
    assert find_broken([0, 5], results, []) == []
    assert find_broken([0, 2], results, [])
    assert find_broken([1, 0], results, []), "a failure that left nothing in the results"
    assert find_broken([0, 0], results, ["tests/test_x.py::test_y"])
    file.write_text(json.dumps(line(outcome="failed")) + "\n")
    assert find_broken([1, 0], read_results(file), []) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [(["--only", "99"], "expected numbers of rows"), (["--only", "1,S"], "expected numbers of rows")],
)
def test_rows_that_are_not_of_the_list_are_refused(command: list[str], said: str) -> None:
    run = subprocess.run([sys.executable, "-m", "tests.faults", *command], capture_output=True, text=True, check=False)
    assert (run.returncode, said in run.stderr) == (2, True), run.stderr


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Tests of a folder, with the plugins of ours and nothing else."""
    (folder / "conftest.py").write_text(
        "from tests.faults.rig.proof import add_options as pytest_addoption, configure as pytest_configure\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = .\nmarkers = full\n")
    variables = os.environ | {"PYTHONPATH": str(FOLDER.parent.parent), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=variables)


_DIES = """
import os
def test_fault_05_a_process_that_dies() -> None:
    os._exit(7)
def test_of_no_row_that_dies() -> None:
    os._exit(7)
"""


def test_a_test_whose_process_died_is_in_the_results_and_counts(tmp_path: Path) -> None:
    (tmp_path / "test_dies.py").write_text(_DIES)
    file = tmp_path / "results.ndjson"
    run = run_pytest(tmp_path, "-n", "1", "--faults-report", str(file))
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert problems(read_results(file))["05"] == "failed: test_fault_05_a_process_that_dies"
    assert [one.split("::")[-1] for one in read_strays(file)] == ["test_of_no_row_that_dies"]


_FAILS = """
def test_fault_05_that_fails() -> None:
    assert 7 == 8, "seven is not eight"
"""


def test_why_a_test_failed_is_said_at_once_and_in_the_results(tmp_path: Path) -> None:
    (tmp_path / "test_fails.py").write_text(_FAILS)
    file = tmp_path / "results.ndjson"
    run = run_pytest(tmp_path, "-q", "--tb=no", "-n", "1", "--faults-report", str(file))
    assert re.search(r"failed after .* s: test_fails.py::test_fault_05_that_fails: AssertionError: seven is not eight", run.stdout), (
        run.stdout
    )
    (failed,) = [test for row in read_results(file) for test in row.tests]
    assert failed["why"].startswith("AssertionError: seven is not eight")


_ALL_ROWS = """
import pytest
from tests.faults.rows import ROWS
@pytest.mark.parametrize("number", [row.number for row in ROWS])
def test_row(number, record_property):
    record_property("row", number)
    record_property("is_control", False)
    record_property("proof", {"injections": 2 if number == "17" else 3})
"""


@pytest.mark.parametrize(("arguments", "status"), [([], 1), (["-k", "row"], 0), (["test_rows.py"], 0)])
def test_a_run_of_all_tests_in_which_a_row_is_struck_too_seldom_fails(tmp_path: Path, arguments: list[str], status: int) -> None:
    (tmp_path / "test_rows.py").write_text(_ALL_ROWS)
    run = run_pytest(tmp_path, "-m", "not full", *arguments)
    assert (run.returncode, "rows with fewer than 3 injections: 17: 2" in run.stdout) == (status, status == 1), run.stdout


def test_every_row_has_a_test_and_a_control() -> None:
    names = set[str]()
    for file in FOLDER.rglob("test_*.py"):
        names |= set(re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE))
    for row in (*FAULTS, *ATTACKS):
        prefix = f"test_attack_{row.number.lower()}_" if row in ATTACKS else f"test_fault_{row.number}_"
        own = {name for name in names if name.startswith(prefix)}
        if row.number not in EXCUSED:
            assert any(not name.endswith("_control") for name in own), f"row {row.number} has no test"
            assert any(name.endswith("_control") for name in own), f"row {row.number} has no control"


def test_numbers_never_change_and_two_rows_may_be_excused_at_most() -> None:
    assert [row.number for row in FAULTS] == [f"{number:02}" for number in range(1, 30)]
    assert [row.number for row in ATTACKS] == [f"S{number}" for number in range(1, 10)]
    assert len(EXCUSED) <= 2
    assert set(EXCUSED) <= {row.number for row in FAULTS}


def test_the_list_of_guards_says_what_each_is() -> None:
    for file in (FOLDER / "guards").glob("[a-z]*.py"):
        text = file.read_text()
        assert text.startswith('"""'), f"{file.name} does not say what the guard is"
        assert "\ndef remove() -> None:" in text, f"{file.name} does not say how it is taken away"
