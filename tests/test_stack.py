"""The local stack: starts twice, side by side and after a crash; stops whole; says what is wrong."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import botocore.exceptions
import psutil
import pytest

from pipeline.config import Settings, load_settings
from pipeline.definitions.vault import build_vault
from pipeline.stack import lifecycle
from pipeline.stack.keys import load_keys, read_keys
from pipeline.stack.lifecycle import start_stack, stop_stack
from pipeline.stack.programs import environment, local_programs, stack_folder
from pipeline.stack.readiness import answers_kafka, ensure_bucket
from pipeline.stack.status import read_processes
from pipeline.stack.supervision import Supervisor, kill_processes, socket_path
from pipeline.stores import build_store
from pipeline.topics import ensure_topics
from schemas.errors import SettingError, UnavailableError, UsageError
from tests.conftest import free_port_offset, headwater, running_stack


@pytest.fixture(scope="module")
def second_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A stack of this module's own, to be hurt; its home has a name that is long and full of signs that mean something elsewhere."""
    home = tmp_path_factory.mktemp("second") / ("100% of the trouble; #1 $HOME 'quoted' " + "x" * 80)
    settings = load_settings(home=home, port_offset=free_port_offset(), local_workers=0, local_maintenance=False, local_api=False)
    with running_stack(settings):
        yield settings


def test_a_second_up_leaves_every_process_as_it_is(stack: Settings) -> None:
    before = _pids(stack)
    start_stack(stack)
    assert _pids(stack) == before
    assert set(before) == {"kafka", "s3"}


def test_up_does_not_drop_the_redaction_of_the_workers_that_run(second_stack: Settings) -> None:
    file = stack_folder(second_stack) / "redaction.json"
    before = file.read_text()
    file.write_text('{"redact_removed": [], "redact_hashed": ["email", "phone"]}')
    try:
        with pytest.raises(
            SettingError, match=r"'HEADWATER_REDACT_HASHED' is 'email'; expected email,phone.*set HEADWATER_REDACT_HASHED as it was"
        ):
            start_stack(second_stack.model_copy(update={"redact_hashed": ("email",)}))
    finally:
        file.write_text(before)
    start_stack(second_stack)


def test_two_stacks_run_side_by_side(stack: Settings, second_stack: Settings) -> None:
    build_store(second_stack).put("only/here", b"second")
    assert _keys(build_store(stack).client(), stack.s3_bucket) == []
    assert _keys(build_store(second_stack).client(), second_stack.s3_bucket) == ["only/here"]
    assert not set(_pids(stack).values()) & set(_pids(second_stack).values())


def test_a_long_home_gets_a_short_socket_elsewhere(second_stack: Settings, stack: Settings) -> None:
    assert second_stack.home not in socket_path(second_stack).parents
    assert len(os.fsencode(socket_path(second_stack))) < 108
    assert socket_path(second_stack) != socket_path(stack)


def test_everything_listens_on_the_loopback_address_only(stack: Settings) -> None:
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")
        for pid in _pids(stack).values()
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_a_home_that_runs_is_not_started_on_other_ports(second_stack: Settings) -> None:
    moved = second_stack.model_copy(update={"port_offset": free_port_offset()})
    with pytest.raises(SettingError, match=r"PORT_OFFSET.*headwater down"):
        start_stack(moved)


def test_kafka_that_is_killed_comes_back_with_its_topics(second_stack: Settings) -> None:
    killed = _pids(second_stack)["kafka"]
    os.kill(killed, signal.SIGKILL)
    _wait_for(lambda: _pids(second_stack).get("kafka", killed) != killed and answers_kafka(second_stack))
    assert ensure_topics(second_stack) == [], "no topic had to be made again"


def test_up_mends_a_stack_whose_supervisor_was_killed(second_stack: Settings) -> None:
    orphans = _pids(second_stack)
    keeper = Supervisor(second_stack).pid()
    assert keeper
    os.kill(keeper, signal.SIGKILL)
    _wait_for(lambda: Supervisor(second_stack).pid() is None)
    assert socket_path(second_stack).exists(), "the socket is stale"
    assert all(psutil.pid_exists(pid) for pid in orphans.values()), "Kafka and S3 outlive their keeper and hold the ports"
    start_stack(second_stack)
    assert set(_pids(second_stack)) == {"kafka", "s3"}
    assert not set(orphans.values()) & set(_pids(second_stack).values())
    assert _keys(build_store(second_stack).client(), second_stack.s3_bucket) == ["only/here"], "state is kept"


def test_status_names_each_process_and_fails_once_one_is_down(second_stack: Settings) -> None:
    done = headwater(second_stack, "status", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {process["name"]: process["pid"] for process in report["processes"]} == _pids(second_stack)
    assert all(process["state"] == "running" and process["memory_bytes"] > 50_000_000 for process in report["processes"])
    assert set(report) == {"processes", "stream"}

    Supervisor(second_stack).call("stopProcess", "s3")
    done = headwater(second_stack, "status", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert {process["name"]: process["state"] for process in report["processes"]} == {"kafka": "running", "s3": "stopped"}
    assert "headwater up" in report["stream"]["unavailable"]
    start_stack(second_stack)
    assert headwater(second_stack, "status").returncode == 0


def test_workers_come_back_when_killed_and_go_when_fewer_are_wanted(second_stack: Settings) -> None:
    start_stack(second_stack.model_copy(update={"local_workers": 2}))
    before = _pids(second_stack)
    assert set(before) == {"kafka", "s3", "worker-0", "worker-1"}
    os.kill(before["worker-1"], signal.SIGKILL)
    _wait_for(lambda: _pids(second_stack).get("worker-1", before["worker-1"]) != before["worker-1"])
    start_stack(second_stack.model_copy(update={"local_workers": 1}))
    assert _pids(second_stack) == {name: pid for name, pid in before.items() if name != "worker-1"}, "the others never noticed"
    start_stack(second_stack)


def test_logs_show_one_process_and_refuse_a_name_that_is_none(second_stack: Settings) -> None:
    assert "s3proxy" in headwater(second_stack, "logs", "s3", "--lines", "100").stdout
    wrong = headwater(second_stack, "logs", "zookeeper")
    assert wrong.returncode == 2
    assert "kafka, s3" in wrong.stderr


def test_maintenance_runs_beside_the_workers_unless_it_is_not_wanted(second_stack: Settings) -> None:
    start_stack(second_stack.model_copy(update={"local_maintenance": True}))
    maintained = _pids(second_stack)
    assert set(maintained) == {"kafka", "s3", "maintain"}
    _wait_for(lambda: {process["name"]: process["state"] for process in read_processes(second_stack)}["maintain"] == "running")
    start_stack(second_stack)
    assert set(_pids(second_stack)) == {"kafka", "s3"}


def test_down_stops_all_and_delete_removes_the_home(second_stack: Settings) -> None:
    processes = [psutil.Process(pid) for pid in _pids(second_stack).values()]
    done = headwater(second_stack, "down", "--delete")
    assert done.returncode == 0, done.stderr
    assert not any(process.is_running() for process in processes)
    assert not second_stack.home.exists()
    assert not socket_path(second_stack).parent.exists()
    assert headwater(second_stack, "down", "--delete").returncode == 0, "a second time is harmless"
    assert headwater(second_stack, "status").returncode == 1


def test_the_readers_key_reads_and_cannot_write(settings: Settings) -> None:
    build_store(settings).put("lake/file", b"rows")
    reader = build_store(settings, is_reader=True).client()
    assert reader.get_object(Bucket=settings.s3_bucket, Key="lake/file")["Body"].read() == b"rows"
    with pytest.raises(botocore.exceptions.ClientError, match="NotImplemented"):
        reader.put_object(Bucket=settings.s3_bucket, Key="lake/file", Body=b"other")
    with pytest.raises(botocore.exceptions.ClientError, match="NotImplemented"):
        reader.delete_object(Bucket=settings.s3_bucket, Key="lake/file")
    assert reader.get_object(Bucket=settings.s3_bucket, Key="lake/file")["Body"].read() == b"rows"


def test_a_bucket_with_a_name_that_s3_refuses_is_named_with_its_setting(settings: Settings) -> None:
    with pytest.raises(SettingError, match="Setting 'HEADWATER_S3_BUCKET' is 'no bucket!'"):
        ensure_bucket(settings.model_copy(update={"s3_bucket": "no bucket!"}))


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    keys = load_keys(settings)
    assert load_keys(settings) == keys
    assert settings.secrets_file.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.json"]
    settings.secrets_file.write_text("{}")
    with pytest.raises(UsageError, match=r"secrets\.json"):
        load_keys(settings)


OLDER_SECRETS = {
    "s3": {role: {"access_key_id": role.upper(), "secret_access_key": f"{role}-secret"} for role in ("writer", "reader")},
    "redact_key": "ab" * 32,
    "kafka_cluster_id": "H" * 22,
    "of_a_person": ["ü", 1.10],
}


def test_keys_of_an_older_release_get_the_definitions_key_and_keep_the_rest(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    settings.secrets_file.write_text(json.dumps(OLDER_SECRETS))
    settings.secrets_file.chmod(0o640)
    keys = load_keys(settings)
    assert list(keys.items())[:-1] == list(OLDER_SECRETS.items())
    assert build_vault(settings).decrypt(build_vault(settings).encrypt("text")) == "text"
    assert json.loads(settings.secrets_file.read_text()) == keys == load_keys(settings)
    assert settings.secrets_file.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.json"]


def test_a_look_at_the_keys_of_an_older_release_adds_nothing(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    settings.secrets_file.write_text(json.dumps(OLDER_SECRETS))
    assert read_keys(settings) == OLDER_SECRETS
    assert json.loads(settings.secrets_file.read_text()) == OLDER_SECRETS


@pytest.mark.parametrize("is_locked", [True, False], ids=["locked", "control"])
def test_two_that_add_the_definitions_key_at_once_agree_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_locked: bool) -> None:
    settings = load_settings(home=tmp_path)
    settings.secrets_file.write_text(json.dumps(OLDER_SECRETS))

    def read_slowly(settings: Settings) -> dict[str, Any]:
        found = read_keys(settings)
        time.sleep(0.5)
        return found

    # Both have seen a file without the key before either of them writes.
    monkeypatch.setattr("pipeline.stack.keys.read_keys", read_slowly)
    if not is_locked:
        monkeypatch.setattr("pipeline.stack.keys.locked_folder", nullcontext)
    with ThreadPoolExecutor(2) as pool:
        found = [keys["definitions_key"] for keys in pool.map(load_keys, [settings, settings])]
    assert (found[0] == found[1]) is is_locked


def test_two_ups_at_once_over_the_keys_of_an_older_release(stack: Settings) -> None:
    older = {name: key for name, key in load_keys(stack).items() if name != "definitions_key"}
    stack.secrets_file.write_text(json.dumps(older))
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda _: headwater(stack, "up", "--without-worker"), range(2)))
    assert [done.returncode for done in ended] == [0, 0], ended
    found = json.loads(stack.secrets_file.read_text())
    assert {name: key for name, key in found.items() if name != "definitions_key"} == older
    assert not [done for done in ended if found["definitions_key"] in done.stdout + done.stderr]


def test_no_key_is_printed_by_up(stack: Settings) -> None:
    done = headwater(stack, "up", "--without-worker")
    assert done.returncode == 0, done.stderr
    for role in load_keys(stack)["s3"].values():
        assert role["secret_access_key"] not in done.stdout + done.stderr


def test_a_port_in_use_is_named_with_its_owner_and_the_setting_that_moves_it(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", port_offset=free_port_offset(), local_workers=0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.s3_port))
        taken.listen()
        with pytest.raises(UnavailableError, match=rf"Port {settings.s3_port} .*S3.*process {os.getpid()} .*HEADWATER_PORT_OFFSET"):
            start_stack(settings)
    assert Supervisor(settings).pid() is None, "nothing was started"


def test_a_java_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"LOCAL_JAVA.*/no/such/java"):
        start_stack(load_settings(home=tmp_path, local_java="/no/such/java"))


def test_a_start_that_fails_shows_the_last_lines_of_the_part_that_failed(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'this Java is broken'\nexit 1\n")
    java.chmod(0o755)
    settings = load_settings(home=tmp_path / "home", port_offset=free_port_offset(), local_workers=0, local_java=java)
    try:
        with pytest.raises(UnavailableError, match=r"(?s)'kafka' .*this Java is broken.*headwater logs kafka"):
            start_stack(settings)
    finally:
        stop_stack(settings, is_deleted=True)


@pytest.mark.parametrize("blocked", ["a file", "under a file", "somebody else's folder"])
def test_a_home_that_cannot_be_used_is_refused(tmp_path: Path, blocked: str) -> None:
    (tmp_path / "letter.txt").write_text("dear aunt")
    home = {"a file": tmp_path / "letter.txt", "under a file": tmp_path / "letter.txt" / "home", "somebody else's folder": tmp_path}[
        blocked
    ]
    with pytest.raises(SettingError, match="HOME"):
        start_stack(load_settings(home=home, local_workers=0))
    assert (tmp_path / "letter.txt").read_text() == "dear aunt"


def test_a_disk_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "FREE_BYTES_MIN", 10**18)
    with pytest.raises(UnavailableError, match="MB free; expected 1,000,000,000,000 MB"):
        start_stack(load_settings(home=tmp_path, local_workers=0))


def test_down_delete_leaves_a_folder_that_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear aunt")
    with pytest.raises(UsageError, match="not removed"):
        stop_stack(load_settings(home=tmp_path), is_deleted=True)
    assert (tmp_path / "letter.txt").exists()


def test_a_process_that_ignores_the_request_to_end_is_killed() -> None:
    stubborn = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"], stdout=-1
    )
    assert stubborn.stdout
    stubborn.stdout.readline()
    kill_processes([psutil.Process(stubborn.pid)], secs=0.2)
    assert not psutil.pid_exists(stubborn.pid)
    stubborn.wait()
    stubborn.stdout.close()


def test_secrets_of_the_api_are_told_to_the_api_alone(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, kafka="b:1", s3_endpoint="http://s", definitions_key="hush", api_streams="clicks=shop")
    told = {program.name: "hush" in program.script for program in local_programs(settings)}
    assert told == {"worker-0": False, "api": True, "jobs": False, "maintain": False}


def test_misspelt_stream_is_said_before_anything_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="'HEADWATER_API_STREAMS' is 'clicks'"):
        local_programs(load_settings(home=tmp_path, kafka="b:1", s3_endpoint="http://s", api_streams="clicks"))


def test_only_what_is_local_is_started() -> None:
    elsewhere = load_settings(kafka="broker:9092", s3_endpoint="https://s3.example.com", local_workers=2)
    assert [program.name for program in local_programs(elsewhere)] == ["worker-0", "worker-1", "api", "jobs", "maintain"]
    assert "jobs" not in [program.name for program in local_programs(elsewhere.model_copy(update={"local_api": False}))]
    assert "jobs" not in [program.name for program in local_programs(elsewhere.model_copy(update={"local_jobs": False}))]


def test_workers_get_the_same_settings_an_instance_and_a_metrics_port(tmp_path: Path) -> None:
    settings = load_settings(
        home=tmp_path / "it's here", port_offset=70, kafka="b:1", s3_endpoint="http://s", local_workers=2, enrichments=("device", "locale"),
        kafka_security_password="a $secret with 'quotes' and a # sign",
    )  # fmt: skip
    *workers, api, jobs, maintain = local_programs(settings)
    assert "pipeline.cli serve" in api.script
    assert "pipeline.cli jobs" in jobs.script
    assert "pipeline.cli maintain" in maintain.script
    for index, worker in enumerate(workers):
        lines = [line for line in worker.script.splitlines() if line.startswith("export ")]
        script = "\n".join(lines) + f"\nexec {shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
        told = json.loads(subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout)
        assert told["HEADWATER_WORKER_INSTANCE"] == f"worker-{index}"
        assert told["HEADWATER_METRICS_PORT"] == str(9464 + 70 + index)
        assert told["HEADWATER_KAFKA_SECURITY_PASSWORD"] == "a $secret with 'quotes' and a # sign"
        shared = environment(settings.model_copy(update={"local_workers": 0}))
        assert shared.pop("HEADWATER_LOCAL_WORKERS") == "0"
        assert {name: told[name] for name in shared} == shared


def _pids(settings: Settings) -> dict[str, int]:
    return {process["name"]: process["pid"] for process in read_processes(settings) if process["pid"]}


def _keys(client: object, bucket: str) -> list[str]:
    found = client.list_objects_v2(Bucket=bucket).get("Contents", [])  # type: ignore[attr-defined]
    return [item["Key"] for item in found]


def _wait_for(is_so: Callable[[], bool], secs_max: float = 60) -> None:
    end = time.monotonic() + secs_max
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
