"""Alarms, dashboard and runbook: of metrics that there are, held to each other, and to a real worker that a real Prometheus watches."""

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from pipeline.config import Settings
from pipeline.pages.docs import ROOT
from tests.api_process import free_port
from tests.stream import events, landed_count, send
from tests.tcp_proxy import proxy_to
from tests.worker_process import WorkerProcess, running, wait_until

FOLDER = ROOT / "deploy/monitoring"
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RUNBOOK = (FOLDER / "RUNBOOK.md").read_text()
# What Prometheus adds to what it scrapes, and what its client for Python says of the process.
SCRAPED = {"instance", "job"}
OF_THE_SCRAPE = {"up", "process_resident_memory_bytes", "ALERTS"}
EXPRESSIONS = [(rule["alert"], rule["expr"]) for rule in RULES] + [
    (panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]
]


def known_metrics() -> dict[str, set[str]]:
    """Labels by name of a sample, as METRICS.md has them; a histogram has three names."""
    found: dict[str, set[str]] = {}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", (ROOT / "pipeline/METRICS.md").read_text(), re.MULTILINE):
        own = {label.strip() for label in labels.split(",") if label.strip()}
        if kind == "histogram":
            found |= {f"{name}_bucket": own | {"le"}, f"{name}_count": own, f"{name}_sum": own}
        else:
            found[name] = own
    return found


KNOWN = known_metrics()


def selectors(expression: Any) -> Iterator[Any]:
    """Every selector of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        if (part := getattr(expression, name, None)) is not None:
            yield from selectors(part)
    for part in getattr(expression, "args", None) or ():
        yield from selectors(part)


def groupings(expression: str) -> set[str]:
    """Labels that an expression groups or joins by."""
    return {
        label.strip()
        for found in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expression)
        for label in found.split(",")
        if label.strip()
    }


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_every_expression_is_of_metrics_and_labels_that_there_are(name: str, expression: str) -> None:
    found = list(selectors(promql_parser.parse(expression)))
    assert found
    labels = set(SCRAPED)
    for selector in found:
        if selector.name in OF_THE_SCRAPE:
            continue
        assert selector.name in KNOWN, f"{name}: METRICS.md has no {selector.name}"
        labels |= KNOWN[selector.name]
        unknown = {matcher.name for matcher in selector.matchers.matchers} - KNOWN[selector.name] - SCRAPED
        assert unknown == set(), f"{name}: {selector.name} has no label {unknown}"
    assert groupings(expression) <= labels, name


def test_an_expression_with_a_name_or_a_label_that_there_is_not_is_found_control() -> None:
    for expression in (
        "headwater_flushs_total",
        'headwater_flushes_total{table="x"}',
        "sum by (tabel) (headwater_flushes_total)",
        "sum(rate(",
    ):
        with pytest.raises((AssertionError, ValueError)):
            test_every_expression_is_of_metrics_and_labels_that_there_are("control", expression)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_alarm_says_how_bad_what_and_where_to_read_on() -> None:
    headings = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)}
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        name, notes = rule["alert"], rule["annotations"]
        assert rule["labels"]["severity"] in {"critical", "warning"}, name
        assert notes["summary"].endswith("."), name
        page, _, place = notes["runbook_url"].partition("#")
        assert ROOT / page == FOLDER / "RUNBOOK.md", name
        assert place in headings, name
        # What a summary says of labels is there to be said.
        said = set(re.findall(r"\$labels\.(\w+)", notes["summary"]))
        available = SCRAPED.union(*(KNOWN.get(selector.name, set()) for selector in selectors(promql_parser.parse(rule["expr"]))))
        assert said <= available, name
        section = RUNBOOK.split(f"## {name}\n")[1].split("\n## ")[0]
        assert section.strip().startswith(f"*{rule['labels']['severity']}.*"), name
        assert all(f"- **{part}**: " in section for part in ("Look", "Do", "Threshold")), name


def test_runbook_has_no_section_of_an_alarm_that_there_is_not_and_no_link_that_leads_nowhere() -> None:
    sections = re.findall(r"^## (Headwater\w+)$", RUNBOOK, re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]
    headings = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)}
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", RUNBOOK)} <= headings
    for page in ("RUNBOOK.md", "README.md"):
        for link in re.findall(r"\]\((?!#|http)([^)#]+)", (FOLDER / page).read_text()):
            assert (FOLDER / link).exists(), link


def test_runbook_has_a_row_for_every_metric_and_no_other() -> None:
    metrics = re.findall(r"^\| `(headwater_\w+)` \|", (ROOT / "pipeline/METRICS.md").read_text(), re.MULTILINE)
    rows = re.findall(r"^\| `(headwater_\w+)` \| (\S[^|]*) \| (\S[^|]*) \|$", RUNBOOK, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(metrics)


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        selector.name for panel in PANELS for target in panel["targets"] for selector in selectors(promql_parser.parse(target["expr"]))
    }
    metrics = re.findall(r"^\| `(headwater_\w+)` \|", (ROOT / "pipeline/METRICS.md").read_text(), re.MULTILINE)
    assert [name for name in metrics if not {name, f"{name}_bucket"} & shown] == []


def test_commands_that_the_runbook_names_are_there() -> None:
    commands = set(re.findall(r"^## headwater ([a-z-]+(?: [a-z-]+)*)", (ROOT / "pipeline/COMMANDS.md").read_text(), re.MULTILINE))
    named = set(re.findall(r"`headwater ([a-z-]+(?: (?:list|show|replay))?)", RUNBOOK))
    assert named
    assert {name for name in named if name not in commands and name.split()[0] not in {each.split()[0] for each in commands}} == set()
    settings = set(re.findall(r"`(HEADWATER_[A-Z_0-9]+)", (ROOT / "pipeline/SETTINGS.md").read_text()))
    assert {name.split("=")[0] for name in re.findall(r"`(HEADWATER_[A-Z_0-9]+)", RUNBOOK)} <= settings


def test_dashboard_asks_the_datasource_that_is_chosen_and_every_panel_has_a_unit_and_a_place() -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"], variable["name"]) == ("datasource", "prometheus", "datasource")
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        assert all(target["datasource"] == panel["datasource"] and target["legendFormat"] for target in panel["targets"])
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["description"].endswith(".")
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def require(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"Program '{program}' is not installed; .ci/run installs it (Debian's package prometheus).")
    return found


def test_every_alarm_fires_when_it_should_and_not_when_it_should_not() -> None:
    promtool = require("promtool")
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = [test["name"] for test in yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]]
    assert tested == [f"{rule['alert']} {kind}" for rule in RULES for kind in ("fires", "is silent")]


@contextmanager
def prometheus(folder: Path, worker_port: int) -> Iterator[str]:
    """A Prometheus that watches a worker every second by our alarms: its address."""
    program, port = require("prometheus"), free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FOLDER / "alerts.yml")],
        "scrape_configs": [{"job_name": "headwater-worker", "static_configs": [{"targets": [f"127.0.0.1:{worker_port}"]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    except BaseException:
        print((folder / "prometheus.log").read_text()[-3000:])
        raise
    finally:
        process.terminate()
        process.wait(30)


def ask(address: str, path: str) -> Any:
    try:
        with urllib.request.urlopen(address + path, timeout=10) as answer:
            return json.loads(answer.read())["data"]
    except OSError:
        return {}


def alarms(address: str, state: str = "firing") -> set[str]:
    return {alarm["labels"]["alertname"] for alarm in ask(address, "/api/v1/alerts").get("alerts", []) if alarm["state"] == state}


def is_watched(address: str) -> bool:
    return [target["health"] for target in ask(address, "/api/v1/targets").get("activeTargets", [])] == ["up"]


def test_a_worker_whose_s3_is_away_sets_off_the_alarm_and_one_that_is_well_does_not(
    settings: Settings, topics: list[str], tmp_path: Path
) -> None:
    require("prometheus")
    key = {name: settings.local_secret("s3", "writer", name) for name in ("access_key_id", "secret_access_key")}
    with proxy_to(settings.s3_port) as s3:
        away = {
            "HEADWATER_S3_ENDPOINT": f"http://127.0.0.1:{s3.port}",
            "HEADWATER_S3_ACCESS_KEY_ID": key["access_key_id"],
            "HEADWATER_S3_SECRET_ACCESS_KEY": key["secret_access_key"],
            "HEADWATER_FLUSH_SECS_MAX": "0.3",
        }
        worker = WorkerProcess(settings, tmp_path, 0, "pipeline.commands.worker", **away)
        with running(worker), prometheus(tmp_path, worker.metrics_port) as address:
            send(settings, events(100))
            wait_until(lambda: landed_count(settings) == 100, "the first events have landed", 120)
            wait_until(lambda: is_watched(address), "Prometheus scrapes the worker", 120)
            # The control: records came and landed while it looked, and nothing of it is an alarm.
            send(settings, events(100, "more"))
            wait_until(lambda: landed_count(settings) == 200, "more events have landed", 120)
            time.sleep(3)
            assert alarms(address) & {"HeadwaterFlushesFail", "HeadwaterNothingLands", "HeadwaterGap", "HeadwaterWorkerDown"} == set()
            s3.cut()
            send(settings, events(100, "late"))
            wait_until(lambda: "HeadwaterFlushesFail" in alarms(address), "the alarm is set off", 120)
            s3.mend()
            wait_until(lambda: landed_count(settings) == 300, "what waited has landed", 120)
            assert worker.stop() == 0
