"""`make faults`: every row of the list with its controls, and the report. Exit status 1 when a row does not hold."""

import argparse
import os
import platform
import random
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from tests.faults.report import RowResult, problems, read_results, read_strays, totals, write_markdown
from tests.faults.rows import ROWS

REPORT = Path(__file__).with_name("REPORT.md")


def main() -> None:
    """Run the schedules, print what holds, write the report."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the short schedules of `make test`, with the controls of all rows")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="plays these schedules again")
    parser.add_argument("--only", default="", metavar="ROWS", help="rows by number, commas between: 01,07,S3")
    parser.add_argument("--write", type=Path, metavar="FILE", help="where the report goes; tests/faults/REPORT.md is the one that is kept")
    given = parser.parse_args()
    began, clock, commit = datetime.now(UTC), time.monotonic(), _commit()
    wanted = [one.strip().upper().rjust(2, "0") for one in given.only.split(",") if one.strip()]
    if unknown := sorted(set(wanted) - {row.number for row in ROWS}):
        parser.error(f"--only {', '.join(unknown)}: expected numbers of rows, 01 to 29 and S1 to S9")
    if given.write == REPORT and commit.endswith("-dirty"):
        parser.error(f"{REPORT.name} would name the commit {commit}, which nobody has; commit first, or leave --write away")
    print(f"faults: seed {given.seed}; again: .venv/bin/python -m tests.faults --seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="headwater-faults-") as folder:
        file, statuses = Path(folder) / "results.ndjson", list[int]()
        options = ["--faults", "short" if given.short else "full", "--faults-seed", str(given.seed), "--faults-report", str(file)]
        options += ["--faults-rows", ",".join(wanted)] if wanted else []
        # For tests that do not say how long they may take; those of full schedules take longer than others.
        options += [] if given.short else ["--timeout", "1800"]
        # Rows that measure what the machine carries run by themselves, after the others.
        for mark, processes in (("row and not alone", ["-n", "2", "--dist", "loadfile"]), ("row and alone", [])):
            command = [sys.executable, "-m", "pytest", "-q", "-m", mark, *processes, *options, "tests"]
            statuses.append(subprocess.run(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, check=False).returncode)
        results = [one for one in read_results(file) if not wanted or one.row.number in wanted]
        broken = find_broken(statuses, results, read_strays(file))
    print_results(results)
    for each in broken:
        print(f"DOES NOT COUNT: {each}")
    if given.write and broken:
        print("No report is written of a run that did not end.")
    elif given.write:
        about = {
            "run": f"{began:%Y-%m-%d %H:%M} UTC, {(time.monotonic() - clock) / 60:.0f} minutes, {'short' if given.short else 'full'} schedules",
            "seed": f"{given.seed}; the same draws again: `make faults SEED={given.seed}`",
            "commit": commit,
            "machine": f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB, Python {platform.python_version()}; everything on it",
        }
        given.write.write_text(write_markdown(results, about))
        print(f"\nReport: {given.write}")
    sys.exit(1 if broken or problems(results) else 0)


def find_broken(statuses: Sequence[int], results: Sequence[RowResult], strays: Sequence[str]) -> list[str]:
    """Why a run says nothing about its rows: pytest did not end as it does, or something failed that no row has."""
    found = [f"failed, and belongs to no row: {test}" for test in strays]
    has_failed = any(one["outcome"] == "failed" for row in results for one in (*row.tests, *row.controls))
    for status in statuses:
        if status == pytest.ExitCode.TESTS_FAILED and not (has_failed or strays):
            found.append("pytest says that tests failed, and none is in the results")
        elif status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
            found.append(f"pytest ended with status {status}: it was interrupted, or could not collect the tests")
    return found


def print_results(results: list[RowResult]) -> None:
    """A line for each row, then the totals."""
    print(f"\n{'#':4}{'fault':58}{'injections':>11}{'records':>11}{'lost':>6}{'twice':>6}  with the guard off")
    for one in results:
        figures = [f"{one.total(name):,}" if one.figures(name) else "" for name in ("injections", "records", "lost", "duplicate")]
        print(
            f"{one.row.number:4}{one.row.name[:57]:58}{figures[0]:>11}{figures[1]:>11}{figures[2]:>6}{figures[3]:>6}  {'; '.join(one.showed)[:70]}"
        )
        if one.problem:
            print(f"    DOES NOT HOLD: {one.problem}")
            for test in (*one.tests, *one.controls):
                if test["why"]:
                    print(textwrap.indent(f"{test['test']}: {test['why']}", " " * 8))
    print("\n" + ", ".join(f"{name} {value:,}" for name, value in totals(results).items()))
    print(f"{sum(not one.problem for one in results)} of {len(results)} rows hold, each with a control that failed as it must")


def _commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
