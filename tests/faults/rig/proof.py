"""What a test of a fault shows, in figures: noted by the test, gathered over all of pytest's processes, made into the report."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.faults.rig.enough import EnoughInjections
from tests.faults.rig.fault_worker import RSS_BYTES_MAX, FaultWorker
from tests.faults.rig.findings import Findings
from tests.faults.rig.schedule import Schedule

_WHY_CHARS = 2000
_NAME = re.compile(r"^test_(?:fault_(?P<fault>\d\d)|attack_(?P<attack>s\d))_")


class Proof:
    """The figures of one test, and which row of the list it belongs to. A control notes what it showed, and fails unless it did."""

    def __init__(self, row: str, is_control: bool, seed: int) -> None:
        self.row, self.is_control = row, is_control
        self.figures: dict[str, Any] = {"seed": seed}

    def note(self, **figures: Any) -> None:
        """Add figures: injections, kills, resume_secs (a list, one for each recovery), rss_bytes_max, and others by names of one's own that say their unit."""
        self.figures |= figures

    def note_findings(self, found: Findings) -> None:
        """Add what the checkers found."""
        self.note(records=found.records, lost=found.lost, duplicate=found.duplicate)

    def note_workers(self, *workers: FaultWorker) -> None:
        """Add the most memory that one of them had.

        Raises AssertionError when that is over the cap.
        """
        self.note(rss_bytes_max=max(worker.rss_bytes_max for worker in workers))
        assert 0 < self.figures["rss_bytes_max"] <= RSS_BYTES_MAX, f"{self.figures['rss_bytes_max']:,} bytes; the cap is {RSS_BYTES_MAX:,}"

    def show(self, defect: str) -> None:
        """A control's defect, in words.

        Raises AssertionError when there is none: a control that passes proves nothing.
        """
        assert self.is_control, "only a control shows a defect"
        assert defect, "the control showed no defect: the test above proves nothing"
        self.figures["showed"] = defect


def row_of(item: pytest.Item) -> str | None:
    """The row that a test belongs to: by its name, else by a mark `attack("S1")` on tests that stand elsewhere."""
    named = _row_named(item.name)
    if named:
        return named
    mark = item.get_closest_marker("attack")
    return str(mark.args[0]) if mark else None


def _row_named(test: str) -> str | None:
    match = _NAME.match(test)
    return (match["fault"] or match["attack"].upper()) if match else None


def is_control(item: pytest.Item) -> bool:
    return item.name.split("[")[0].endswith("_control")


@pytest.fixture
def schedule(request: pytest.FixtureRequest) -> Schedule:
    """This test's draws; the seed is printed when it fails."""
    config = request.config
    found = Schedule(config.getoption("faults_seed"), request.node.name, config.getoption("faults") == "full")
    print(f"the same schedule again: --faults-seed {found.seed}")
    return found


@pytest.fixture
def proof(request: pytest.FixtureRequest, schedule: Schedule) -> Proof:
    """Where this test notes its figures."""
    row = row_of(request.node)
    assert row is not None, "a test of a fault is named test_fault_NN_..., one of an attack test_attack_sN_..."
    found = Proof(row, is_control(request.node), schedule.seed)
    request.node.user_properties.append(("proof", found.figures))
    return found


class ProofFile:
    """The pytest plugin of `--faults-report FILE`: a JSON line for each test that belongs to a row: row, test, is_control, outcome, why, secs, figures.

    A test whose process died has said nothing of itself: its row is read from its name, '' when that does not say it. What failed is said at
    once: a full run is long.
    """

    def __init__(self, file: Path, config: pytest.Config) -> None:
        self._file, self._config = file, config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        if report.when != "call" and report.passed:
            return
        if "row" not in properties and report.passed:
            return
        line = {
            "row": properties.get("row", _row_named(report.nodeid.split("::")[-1]) or ""),
            "is_control": properties.get("is_control", False),
            "test": report.nodeid,
            "outcome": report.outcome,
            "why": why_failed(report),
            "secs": round(report.duration, 1),
            "figures": properties.get("proof", {}),
        }
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.write_line(f"\nfailed after {line['secs']} s: {report.nodeid}: {line['why']}")


def why_failed(report: pytest.TestReport) -> str:
    """The message of the exception that ended a test, without its trace; '' for one that passed."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr or "")[:_WHY_CHARS] if report.failed else ""


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--faults", choices=["short", "full"], default="short", help="how much the tests of faults inject")
    group.addoption("--faults-seed", type=int, help="the seed of their schedules; a new one for each run unless given")
    group.addoption("--faults-rows", default="", help="these rows only, by number, commas between")
    group.addoption("--faults-report", type=Path, help="append what they showed to this file, in JSON lines")


def configure(config: pytest.Config) -> None:
    """Draw the run's seed, which pytest-xdist hands on to its workers, and open the report."""
    if config.getoption("faults_seed") is None:
        config.option.faults_seed = random.SystemRandom().randrange(10**6)
    file = config.getoption("faults_report")
    # Reports of all processes come together in the first one.
    if file is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ProofFile(file, config))
    if is_of_all_tests(config) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(EnoughInjections())


def is_of_all_tests(config: pytest.Config) -> bool:
    """Whether nothing was left out of a run but full tests."""
    is_chosen = config.option.keyword or config.option.deselect or config.getoption("faults_rows") or config.getoption("lf", False)
    return config.args_source == pytest.Config.ArgsSource.TESTPATHS and config.option.markexpr == "not full" and not is_chosen


def label(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say with each test which row it belongs to; with --faults-rows keep those rows."""
    wanted = set(filter(None, config.getoption("faults_rows").split(",")))
    kept = []
    for item in items:
        row = row_of(item)
        if row is not None:
            item.add_marker("row")
            item.user_properties += [("row", row), ("is_control", is_control(item))]
        if not wanted or row in wanted:
            kept.append(item)
    items[:] = kept
