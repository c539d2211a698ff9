"""The report: a line of Markdown for each row of the list, from the JSON lines that the tests left; and whether every row holds."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.rig.percentile import percentile
from tests.faults.rows import ATTACKS, EXCUSED, FAULTS, ROWS, Row

INJECTIONS_MIN = 3
# Figures that have a column, or that say nothing by themselves.
_COLUMNS = ("seed", "injections", "kills", "records", "lost", "duplicate", "resume_secs", "rss_bytes_max", "showed")


@dataclass
class RowResult:
    """The tests of a row and its controls, as they ended."""

    row: Row
    tests: list[dict[str, Any]] = field(default_factory=list)
    controls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def problem(self) -> str:
        """Why the row does not hold; '' when it does.

        It does not when a test or a control of it failed or was skipped, when faults were injected less than three times, when the bar is V and
        nothing was held against a ledger, when a control showed no defect or there is none, or when anything was lost or doubled.
        """
        ended = {
            outcome: ", ".join(one["test"].split("::")[-1] for one in (*self.tests, *self.controls) if one["outcome"] == outcome)
            for outcome in ("failed", "skipped")
        }
        injections = self.total("injections")
        why = {
            f"failed: {ended['failed']}": ended["failed"],
            f"skipped: {ended['skipped']}": ended["skipped"],
            "no test of it has run": not self.tests,
            f"{injections} injections; expected {INJECTIONS_MIN} or more": injections < INJECTIONS_MIN,
            "no record was held against a ledger": self.row.is_verdict and not self.total("records"),
            "no control has shown a defect": not self.showed,
            f"showed nothing: {', '.join(self.silent)}": self.silent,
            "records were lost or doubled": self.total("lost") or self.total("duplicate"),
        }
        return next((said for said, is_so in why.items() if is_so), "")

    def figures(self, name: str) -> list[Any]:
        return [one["figures"][name] for one in self.tests if name in one["figures"]]

    def total(self, name: str) -> int:
        return sum(self.figures(name))

    @property
    def resume_secs(self) -> list[float]:
        return [secs for each in self.figures("resume_secs") for secs in each]

    @property
    def silent(self) -> list[str]:
        """Controls that passed, have figures, and do not say what they showed; one without figures says it by its asserts alone."""
        passed = [one for one in self.controls if one["outcome"] == "passed" and one["figures"] and not one["figures"].get("showed")]
        return [one["test"].split("::")[-1] for one in passed]

    @property
    def showed(self) -> list[str]:
        return list(dict.fromkeys(one["figures"]["showed"] for one in self.controls if one["figures"].get("showed")))


def read_results(file: Path) -> list[RowResult]:
    """The rows of the list, each with what its tests left in `file`."""
    tests: dict[str, list[dict[str, Any]]] = defaultdict(list)
    controls: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in file.read_text().splitlines() if file.exists() else ():
        one = json.loads(line)
        (controls if one["is_control"] else tests)[one["row"]].append(one)
    return [RowResult(row, tests[row.number], controls[row.number]) for row in ROWS]


def read_strays(file: Path) -> list[str]:
    """Tests that failed, and of which nothing says to which row they belong."""
    lines = map(json.loads, file.read_text().splitlines() if file.exists() else ())
    return [one["test"] for one in lines if one["row"] == ""]


def problems(results: Sequence[RowResult]) -> dict[str, str]:
    """What does not hold, by number; excused rows are not counted."""
    return {one.row.number: one.problem for one in results if one.problem and one.row.number not in EXCUSED}


def totals(results: Sequence[RowResult]) -> dict[str, int]:
    """Over all rows: kills, records, lost, duplicate. Injections are of as many kinds as there are rows, and have no sum."""
    return {name: sum(one.total(name) for one in results) for name in ("kills", "records", "lost", "duplicate")}


def write_markdown(results: Sequence[RowResult], about: Mapping[str, str]) -> str:
    """The page: what was run, the totals, a line for each row, then every figure that a test noted."""
    sums = totals(results)
    held = sum(not one.problem for one in results)
    lines = [
        "# Faults: the last full run",
        "",
        "Made by `make faults`, and not written by hand. What each row is and how it is injected: [README.md](README.md).",
        "",
    ]
    lines += [f"- {name}: {value}" for name, value in about.items()]
    lines += [f"- rows that hold: {held} of {len(results)}, each with a control that failed as it must"]
    lines += [f"- {name}: {value:,}" for name, value in sums.items()]
    lines += [f"- not counted: row {number}, {why}" for number, why in EXCUSED.items()]
    for title, part in (("Faults", FAULTS), ("Attacks", ATTACKS)):
        lines += ["", f"## {title}", "", *_table([one for one in results if one.row in part])]
    lines += ["", "## Figures", "", "| row | test | s | figures |", "| --- | --- | --- | --- |"]
    for one in results:
        for test in (*one.tests, *one.controls):
            said = [f"{name} {_shown(value)}" for name, value in test["figures"].items() if name not in _COLUMNS]
            if said:
                lines.append(f"| {one.row.number} | `{test['test'].split('::')[-1]}` | {test['secs']:.0f} | {', '.join(said)} |")
    return "\n".join([*lines, ""])


def _table(results: Sequence[RowResult]) -> list[str]:
    lines = ["| # | what | bar | holds | injections | records | lost | duplicate | resumes, p99 s | memory, MB | with the guard off |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for one in results:
        cells = [one.row.number, one.row.name, one.row.bar, "yes" if not one.problem else one.problem]
        cells += [f"{one.total(name):,}" if one.figures(name) else "" for name in ("injections", "records", "lost", "duplicate")]
        cells += [f"{percentile(one.resume_secs, 0.99):.1f}" if one.resume_secs else ""]
        cells += [f"{max(one.figures('rss_bytes_max')) / 1e6:.0f}" if one.figures("rss_bytes_max") else ""]
        cells += ["; ".join(one.showed)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list) and value and all(isinstance(each, int | float) for each in value):
        return f"{_shown(min(value))} to {_shown(max(value))} ({len(value)})"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name}: {_shown(each)}" for name, each in value.items()) + ")"
    return str(value).replace("|", "\\|").replace("\n", " ")
