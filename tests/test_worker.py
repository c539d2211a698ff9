"""One worker on real Kafka and S3: what it lands, what it says of itself, and wrong settings."""

import json
import re
import socket
from collections import Counter
from pathlib import Path

import pytest

from pipeline.config import Settings, load_settings
from pipeline.topology import LANDING_STREAMS, topic_name
from schemas.errors import SettingError
from tests.conftest import RunHeadwater
from tests.stream import GARBAGE, event, events, landed_count, landed_ids, metrics, send
from tests.worker_process import WorkerProcess, running, wait_until

METRICS_PAGE = Path(__file__).parents[1] / "pipeline" / "METRICS.md"


def test_a_worker_lands_what_is_good_keeps_what_is_not_and_says_so(
    settings: Settings, topics: list[str], run_headwater: RunHeadwater, tmp_path: Path
) -> None:
    worker = WorkerProcess(settings, tmp_path, HEADWATER_LOG_FORMAT="json", HEADWATER_FLUSH_SECS_MAX="0.3")
    send(settings, [*events(20, endpoints=7), event("event-3", "phone-3")])
    with running(worker):
        wait_until(lambda: landed_count(settings) == 21, "21 records in the lake")
        send(settings, [GARBAGE])
        wait_until(lambda: landed_count(settings) == 22, "the garbage as a dead letter")
        # One record, and no other after it: only the timer can flush it.
        send(settings, [event("afterwards")])
        wait_until(lambda: landed_ids(settings)["afterwards"] == 1, "the event after the garbage")
        wait_until(lambda: metrics(worker)["headwater_records_consumed_total"] == 23, "the metrics of the last flush")
        found = metrics(worker)
        assert worker.stop() == 0
    assert landed_ids(settings) == Counter([f"event-{number}" for number in range(20)] + ["afterwards"])
    _check_metrics(found)
    _check_log(worker.log)
    _check_audit(settings, run_headwater)
    _check_dead_letters(settings, run_headwater)


def _check_metrics(found: Counter[str]) -> None:
    """Every metric of the reference page is served, and the figures are those of the records sent."""
    page = METRICS_PAGE.read_text().partition("## Maintenance")[0]
    kinds = re.findall(r"^\| `(headwater_\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert len(kinds) > 15
    assert {f"{name}_count" if kind == "histogram" else name for name, kind in kinds} <= set(found)
    assert found["headwater_records_consumed_total"] == found["headwater_events_landed_total"] + found["headwater_dead_letters_total"] == 23
    assert (found["headwater_events_landed_total"], found["headwater_events_duplicate_total"]) == (21, 1)
    # Of three topics, of which one has something to deduplicate.
    assert (found["headwater_partitions_assigned"], found["headwater_dedup_keys"]) == (12, 21)
    assert (found["headwater_inflight_bytes"], found["headwater_flush_failures_total"]) == (0, 0)


def _check_log(log: Path) -> None:
    """One JSON object a line, from the first to the last."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"at", "level", "logger", "message"} <= set(line) for line in lines)
    assert lines[0]["message"].startswith("Worker worker-0 of group")
    assert not [line for line in lines if line["level"] == "critical" or "error" in line]


def _check_audit(settings: Settings, run_headwater: RunHeadwater) -> None:
    done = run_headwater("audit", "--json")
    found = json.loads(done.stdout)
    partitions = found.pop("partitions")
    assert done.returncode == 0
    assert found == {
        "consumed": 23, "landed": 21, "dead": 1, "duplicate": 1, "holes": 0, "gap": 0, "lost": 0, "doubled": 0, "unbalanced": 0, "waiting": 0, "is_clean": True
    }  # fmt: skip
    names = [topic_name(settings, stream.topic) for stream in LANDING_STREAMS]
    assert sorted((one["topic"], one["partition"]) for one in partitions) == sorted((name, number) for name in names for number in range(4))
    assert {(one["has_ended"], one["first_offset"]) for one in partitions} == {(False, 0)}
    assert sum(one["next_offset"] for one in partitions) == 23


def _check_dead_letters(settings: Settings, run_headwater: RunHeadwater) -> None:
    listed = run_headwater("dead-letters", "list").stdout
    assert "garbage" in listed
    assert "not_json" in listed


def test_a_worker_that_is_told_to_leave_lands_what_it_holds(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    worker = WorkerProcess(settings, tmp_path, HEADWATER_FLUSH_SECS_MAX="600")
    send(settings, events(5))
    with running(worker):
        wait_until(lambda: worker_holds(worker) > 0, "the worker holds the events")
        assert landed_count(settings) == 0
        assert worker.stop(10) == 0
    assert landed_ids(settings) == Counter(f"event-{number}" for number in range(5))


def worker_holds(worker: WorkerProcess) -> float:
    """Bytes that it has consumed and not landed; 0 before it answers."""
    try:
        return metrics(worker)["headwater_inflight_bytes"]
    except OSError:
        return 0


def test_a_wrong_setting_ends_the_worker_with_status_2_and_says_which(run_headwater: RunHeadwater) -> None:
    done = run_headwater("worker", flush_secs_max="ten", secs_max=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "headwater: Setting 'HEADWATER_FLUSH_SECS_MAX' is 'ten'; expected age at which buffered records are written to the lake "
        "(input should be a valid number, unable to parse string as a number), for example 1.0.\n"
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("gap_policy", "ignore", "input should be 'stop' or 'continue'"),
        ("inflight_bytes_max", 10, "input should be greater than or equal to 1000"),
        ("worker_session_secs", 1, "input should be greater than or equal to 6"),
        ("kafka_security_protocol", "TLS", "input should be 'PLAINTEXT', 'SSL'"),
    ],
)
def test_a_setting_that_cannot_be_used_says_its_name_its_value_and_what_was_expected(name: str, value: object, expected: str) -> None:
    with pytest.raises(
        SettingError, match=rf"Setting 'HEADWATER_{name.upper()}' is '{value}'; expected .*{re.escape(expected)}.*for example"
    ):
        load_settings(**{name: value})


def test_a_metrics_port_that_is_taken_ends_the_worker_with_status_2(
    settings: Settings, topics: list[str], run_headwater: RunHeadwater
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_headwater("worker", metrics_port=str(port), secs_max=120)
    assert done.returncode == 2
    assert f"Setting 'HEADWATER_METRICS_PORT' is {port}, and that port is taken" in done.stderr
