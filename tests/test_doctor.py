"""The doctor names what is wrong, line by line, with a way out that works; a sound set-up has no such line."""

import fcntl
import json
import os
import re
import resource
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from kafka.admin import NewTopic

from agents.native import build
from pipeline.config import PREFIX, Settings, load_settings
from pipeline.doctor.check import Case, Check, run_checks
from pipeline.doctor.checks import CHECKS
from pipeline.doctor.finding import Finding, State, ok
from pipeline.kafka_admin import open_admin
from pipeline.stack.keys import load_keys
from pipeline.stack.lifecycle import start_stack
from pipeline.stack.programs import environment, stack_folder
from pipeline.stack.supervision import Supervisor
from pipeline.stores import build_store, confluent_options
from pipeline.topics import ensure_topics
from pipeline.topology import TOPICS, topic_name
from tests.conftest import free_port_offset, headwater
from tests.s3_proxy import Change, s3_behind
from tests.stream import event, raw_events, send
from tests.tcp_proxy import proxy_to
from tests.worker_process import wait_until

ROOT = Path(__file__).parents[1]


@pytest.fixture
def sound(stack: Settings, settings: Settings) -> Iterator[Settings]:
    """A sound set-up: the running stack's own home, topics, bucket and group of this test."""
    found = settings.model_copy(update={"home": stack.home})
    ensure_topics(found)
    yield found
    with open_admin(found) as admin:
        names = set(admin.list_topics())
        admin.delete_topics([name for topic in TOPICS if (name := topic_name(found, topic)) in names])


def with_settings(settings: Settings, **changed: Any) -> Settings:
    """The same settings with some changed, checked as the environment's are."""
    return load_settings(**{name: getattr(settings, name) for name in settings.model_fields_set} | changed)


def look(settings: Settings, *names: str, **given: Any) -> dict[str, list[Finding]]:
    """What the named checks say, by subject; those that they need are made, too."""
    wanted = {*names, *(need for check in CHECKS if check.name in names for need in check.needs)}
    checks = [check for check in CHECKS if check.name in wanted]
    assert len(checks) == len(wanted), "a check has another name"
    found: dict[str, list[Finding]] = {}
    for _, findings in run_checks(Case(settings, **given), checks):
        for one in findings:
            found.setdefault(one.subject, []).append(one)
    return found


def only(found: dict[str, list[Finding]], subject: str) -> Finding:
    """The one line of a subject."""
    (line,) = found[subject]
    return line


def ill(found: dict[str, list[Finding]]) -> list[str]:
    """Subjects of the lines that are not ok."""
    return [subject for subject, lines in found.items() if any(line.state != State.OK for line in lines)]


def elsewhere(settings: Settings, **changed: Any) -> Settings:
    """The same Kafka and S3 as servers of one's own, with the stack's keys."""
    keys = load_keys(settings)["s3"]
    given = {
        "kafka": f"127.0.0.1:{settings.kafka_port}",
        "s3_endpoint": f"http://127.0.0.1:{settings.s3_port}",
        "s3_access_key_id": keys["writer"]["access_key_id"],
        "s3_secret_access_key": keys["writer"]["secret_access_key"],
        "s3_reader_access_key_id": keys["reader"]["access_key_id"],
        "s3_reader_secret_access_key": keys["reader"]["secret_access_key"],
    }
    return with_settings(settings, **given | changed)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


# The whole command


def test_a_sound_set_up_has_no_broken_line_and_shows_no_secret(sound: Settings) -> None:
    send(sound, [event("one")])
    done = headwater(sound, "doctor", "--json")
    report = json.loads(done.stdout)
    assert [line for line in report["findings"] if line["state"] in ("broken", "not checked")] == []
    assert (done.returncode, report["is_sound"]) == (0, True)
    assert {line["check"] for line in report["findings"]} == {check.name for check in CHECKS}
    # Nobody reads in this test; the stack is sound all the same. Of the machine and the checkout warnings may be true.
    machine = {".venv", "disk", "open files", "memory", "record reader"}
    warned = [line["subject"] for line in report["findings"] if line["state"] == "warning" and line["check"] not in machine]
    assert warned == [f"group {sound.worker_group}"]
    for role in load_keys(sound)["s3"].values():
        assert role["secret_access_key"] not in done.stdout + done.stderr
    assert load_keys(sound)["redact_key"] not in done.stdout + done.stderr
    assert "Contents" not in build_store(sound).client().list_objects_v2(Bucket=sound.s3_bucket, Prefix="lake/_probe/")


def test_wrong_settings_and_limits_are_named_and_everything_else_is_checked_all_the_same(sound: Settings) -> None:
    wrong = {"REDACT_HASH": "email", "FLUSH_SECS_MAX": "ten", "S3_SECRET_ACCESS_KEY": "half a key that must not be shown"}
    variables = os.environ | environment(sound) | {f"{PREFIX}{name}": value for name, value in wrong.items()}
    script = f"ulimit -n 512; ulimit -f 100; exec {shlex.join([sys.executable, '-m', 'pipeline.cli', 'doctor'])}"
    done = subprocess.run(["/bin/bash", "-c", script], env=variables, capture_output=True, text=True, timeout=120, check=False)
    said = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert done.returncode == 1, done.stderr
    for line in (
        "broken HEADWATER_REDACT_HASH 'HEADWATER_REDACT_HASH' is set, and there is no such setting",
        "way out: did you mean HEADWATER_REDACT_HASHED? Or unset it",
        "broken HEADWATER_FLUSH_SECS_MAX HEADWATER_FLUSH_SECS_MAX is 'ten'",
        "broken open files 512 at most",
        "expected: 1,024 or more: supervisor refuses to start with less",
        f"broken home {sound.home} takes no file of 1 MB: File too large",
        f"ok topic {raw_events(sound)} 4 partitions, configured as declared",
    ):
        assert line in said, done.stdout
    assert any(line.startswith("broken settings together HEADWATER_S3_ACCESS_KEY_ID is ''") for line in said)
    assert any(line.startswith("way out: ulimit -n 65536 before the start") for line in said)
    assert "half a key" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_servers_that_hang_are_named_and_hang_nobody(sound: Settings) -> None:
    with proxy_to(sound.kafka_port) as kafka, proxy_to(sound.s3_port) as s3:
        kafka.hang()
        s3.hang()
        hung = elsewhere(sound, kafka=f"127.0.0.1:{kafka.port}", s3_endpoint=f"http://127.0.0.1:{s3.port}")
        started = time.monotonic()
        done = headwater(hung, "doctor", "--json", secs_max=90)
        secs = time.monotonic() - started
    lines = {line["subject"]: line for line in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert lines["S3"]["found"] == "no answer within 8 s"
    assert lines["Kafka"]["state"] == "broken"
    assert lines["S3 bucket"]["state"] == lines["topics"]["state"] == "not checked"
    assert lines["topics"]["found"] == "because 'Kafka' is broken"
    assert secs < 80


def test_a_check_that_fails_or_hangs_is_a_line_and_the_next_one_is_made(sound: Settings) -> None:
    def fail(case: Case) -> Sequence[Finding]:
        raise ZeroDivisionError(f"secret {case.settings.redact_key.get_secret_value()}")

    def hang(_: Case) -> Iterator[Finding]:
        yield ok("first", "said")
        time.sleep(3)
        yield ok("second", "too late")

    def make(_: Case) -> Sequence[Finding]:
        return [ok("made", "at http://user:password@host")]

    secret = with_settings(sound, redact_key="swordfish")
    checks = [Check("fail", lambda: fail), Check("hang", lambda: hang, secs_max=0.2), Check("after", lambda: make, needs=["hang"])]
    checks.append(Check("last", lambda: make))
    lines = [line for _, found in run_checks(Case(secret), checks) for line in found]
    assert [(line.subject, line.state, line.found) for line in lines] == [
        ("fail", State.BROKEN, "ZeroDivisionError: secret ***"),
        ("first", State.OK, "said"),
        ("hang", State.BROKEN, "no answer within 0.2 s"),
        ("after", State.UNCHECKED, "because 'hang' is broken"),
        ("made", State.OK, "at http://***@host"),
    ]


def test_a_check_whose_setting_cannot_be_read_is_left_out(run_headwater: Any) -> None:
    done = run_headwater("doctor", "--json", kafka_security_protocol="TLS")
    lines = {line["subject"]: line for line in json.loads(done.stdout)["findings"]}
    assert lines["HEADWATER_KAFKA_SECURITY_PROTOCOL"]["state"] == "broken"
    assert lines["Kafka"]["found"] == "because HEADWATER_KAFKA_SECURITY_PROTOCOL cannot be read"
    assert lines["S3 conditional writes"]["state"] == "ok"


def test_a_library_that_is_missing_is_a_line_and_not_the_end(sound: Settings) -> None:
    code = "import sys; sys.modules['duckdb'] = None; from pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, "doctor", "--json"]
    done = subprocess.run(command, env=os.environ | environment(sound), capture_output=True, text=True, timeout=120, check=False)
    lines = {line["subject"]: line for line in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert "duckdb" in lines["settings together"]["found"]
    assert lines["settings together"]["way_out"] == "rm -f .venv/.ready && make setup"
    assert lines["libraries"]["state"] == lines["open files"]["state"] == lines[f"topic {raw_events(sound)}"]["state"] == "ok"
    assert "Traceback" not in done.stderr


# Settings


@pytest.mark.parametrize(
    ("changed", "subject", "state", "way_out"),
    [
        ({"flush_bytes_max": 50_000_000}, "HEADWATER_FLUSH_BYTES_MAX", State.BROKEN, "set HEADWATER_INFLIGHT_BYTES_MAX=75000000"),
        ({"upload_secs_max": 59}, "HEADWATER_UPLOAD_SECS_MAX", State.BROKEN, "unset HEADWATER_UPLOAD_SECS_MAX"),
        ({"flush_secs_max": 400}, "HEADWATER_UPLOAD_SECS_MAX", State.BROKEN, "unset HEADWATER_UPLOAD_SECS_MAX"),
        ({"topic_retention_hours": 1}, "HEADWATER_TOPIC_RETENTION_HOURS", State.WARNING, "unset HEADWATER_TOPIC_RETENTION_HOURS"),
        ({"message_bytes_max": 10**9}, "HEADWATER_MESSAGE_BYTES_MAX", State.WARNING, "set HEADWATER_MESSAGE_BYTES_MAX=67108864"),
        (
            {"kafka_security_username": "me"},
            "HEADWATER_KAFKA_SECURITY_PROTOCOL",
            State.BROKEN,
            "set HEADWATER_KAFKA_SECURITY_PROTOCOL, for example SASL_SSL",
        ),
        (
            {"geo_database": Path("/nowhere/places.mmdb")},
            "settings together",
            State.BROKEN,
            "set HEADWATER_GEO_DATABASE so, or unset it",
        ),
        ({"redact_removed": ("event_type",)}, "settings together", State.BROKEN, "leave it out"),
        ({"kafka_security_protocol": "SASL_SSL"}, "settings together", State.BROKEN, "set HEADWATER_KAFKA_SECURITY_USERNAME"),
    ],
)
def test_settings_that_contradict_each_other_are_named(
    sound: Settings, changed: dict[str, Any], subject: str, state: State, way_out: str
) -> None:
    line = look(with_settings(sound, **changed), "settings together")[subject][0]
    assert line.state == state
    assert line.way_out.startswith(way_out)
    assert line.expected
    # At the border, and with the defaults, all is well.
    borders = with_settings(
        sound, flush_bytes_max=sound.inflight_bytes_max, upload_secs_max=60, topic_retention_hours=24, message_bytes_max=67_108_864
    )
    assert ill(look(borders, "settings together")) == ill(look(sound, "settings together")) == []


def test_a_file_of_keys_that_is_broken_or_open_to_others_is_named(settings: Settings) -> None:
    assert ill(look(settings, "keys of the stack")) == []
    settings.secrets_file.chmod(0o644)
    line = only(look(settings, "keys of the stack"), "keys of the stack")
    assert (line.state, line.way_out) == (State.WARNING, f"chmod 600 {settings.secrets_file}")
    subprocess.run(shlex.split(line.way_out), check=True)
    assert ill(look(settings, "keys of the stack")) == []
    settings.secrets_file.write_text("no json")
    line = only(look(settings, "keys of the stack"), "keys of the stack")
    assert (line.state, "is not a file of keys" in line.found) == (State.BROKEN, True)
    assert "Put the right file back" in line.way_out


# Versions and the environment


def test_a_library_in_another_version_than_the_lock_says_is_named(sound: Settings, tmp_path: Path) -> None:
    doctored = tmp_path / "requirements.txt"
    text = (ROOT / "requirements.txt").read_text()
    other = text.replace("\nduckdb==1.5.5 ", "\nduckdb==1.4.0 ").replace(
        "\nxxhash==", "\nno-such-library==1.0 \\\n    --hash=sha256:00\nxxhash=="
    )
    doctored.write_text(f"{other}\nonly-elsewhere==1.0 ; sys_platform == 'win32' \\\n")
    found = look(sound, "libraries", lock=doctored)
    assert ill(found) == ["library duckdb", "library no-such-library"]
    line = only(found, "library duckdb")
    assert (line.state, line.found, line.expected) == (State.BROKEN, "1.5.5", "1.4.0, as requirements.txt locks it")
    assert line.way_out.endswith("make setup")
    assert only(found, "library no-such-library").found == "not installed"
    assert ill(look(sound, "libraries")) == []


def test_a_record_reader_that_is_not_compiled_is_named(sound: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ill(look(sound, "record reader")) == []
    monkeypatch.setattr(build, "OUTPUT", tmp_path)
    assert only(look(sound, "record reader"), "record reader").state == State.WARNING
    monkeypatch.setenv("PATH", str(tmp_path))
    line = only(look(sound, "record reader"), "record reader")
    if build.find_compiler():
        assert "ziglang" in line.found
    else:
        assert (line.state, line.way_out) == (State.BROKEN, "rm -f .venv/.ready && make setup")


def test_an_environment_older_than_its_locks_is_named(sound: Settings, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    pyproject = tmp_path / "pyproject.toml"
    pyproject.touch()
    line = only(look(sound, ".venv", root=tmp_path), ".venv")
    if not (Path(sys.prefix) / ".ready").exists():
        assert "not made to its end" in line.found
        return
    assert (line.state, line.found, line.way_out) == (State.WARNING, "older than pyproject.toml", "make setup")
    os.utime(pyproject, (0, 0))
    assert only(look(sound, ".venv", root=tmp_path), ".venv").state == State.OK


def test_a_java_that_cannot_be_used_is_named(sound: Settings, tmp_path: Path) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    assert only(look(with_settings(sound, local_java="/no/such/java"), "Java"), "Java").found == "HEADWATER_LOCAL_JAVA is '/no/such/java'"
    line = only(look(with_settings(sound, local_java=old), "Java"), "Java")
    assert (line.state, line.expected) == (State.BROKEN, "17 or newer")
    assert ill(look(sound, "Java")) == []


def test_a_lock_that_somebody_holds_is_named_with_its_holder(settings: Settings) -> None:
    stack_folder(settings).mkdir()
    with (stack_folder(settings) / "lock").open("w") as file:
        assert ill(look(settings, "lock of the stack")) == []
        fcntl.flock(file, fcntl.LOCK_EX)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[file.fileno()]) as holder:
            line = only(look(settings, "lock of the stack"), "lock of the stack")
            holder.communicate(b"\n")
    assert (line.state, line.way_out) == (State.WARNING, f"wait for it, or end it: kill {holder.pid}")


def test_a_process_of_the_stack_that_stands_still_is_named(stack: Settings, sound: Settings) -> None:
    assert ill(look(sound, "processes", "S3")) == []
    Supervisor(stack).call("stopProcess", "s3")
    try:
        found = look(sound, "processes", "S3", "S3 bucket")
    finally:
        start_stack(stack)
    assert only(found, "process s3").state == State.BROKEN
    assert only(found, "process s3").way_out == "headwater logs s3, then headwater up"
    assert "did not answer" in only(found, "S3").found
    assert only(found, "S3 bucket").found == "because 'S3' is broken"
    assert ill(look(sound, "processes", "S3")) == []


def test_a_stack_that_is_down_is_no_fault_and_a_port_that_is_taken_is(tmp_path: Path) -> None:
    down = load_settings(home=tmp_path / "home", port_offset=free_port_offset())
    found = look(down, "processes", "ports", "Kafka", "S3", "topics")
    assert [only(found, subject).state for subject in ("processes", "ports")] == [State.WARNING, State.OK]
    assert only(found, "Kafka").found == "because the local stack does not run; 'headwater up' starts it"
    assert only(found, "topics").found == "because 'Kafka' was not checked"
    with socket.create_server(("127.0.0.1", down.metrics_address_port)):
        line = only(look(down, "ports"), f"port {down.metrics_address_port}")
    assert line.state == State.BROKEN
    assert f"taken by process {os.getpid()}" in line.found
    assert "the metrics page of worker-0" in line.found
    assert "HEADWATER_PORT_OFFSET" in line.way_out
    clash = with_settings(down, metrics_port=down.s3_port)
    assert only(look(clash, "ports"), f"port {down.s3_port}").found == "wanted by S3 and the metrics page of worker-0"
    assert ill(look(down, "ports")) == []


# The machine


@pytest.mark.parametrize("blocked", ["home", "home/inside", "home, its spill folder"])
def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path, blocked: str) -> None:
    home = tmp_path / blocked.partition(",")[0]
    sound, subject = load_settings(home=tmp_path), "spill folder" if "spill" in blocked else "home"
    if subject == "home":
        (tmp_path / "home").write_text("a letter")
    else:
        home.mkdir()
        (home / "spill").write_text("a letter")
    line = only(look(load_settings(home=home), "disk"), subject)
    assert line.state == State.BROKEN
    assert "is a file" in line.found
    assert "HEADWATER_HOME" in line.way_out
    assert ill(look(sound, "disk")) == []


def test_a_disk_that_is_full_is_named(tmp_path: Path) -> None:
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(tmp_path)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no leave to mount a small disk")
    try:
        line = only(look(load_settings(home=tmp_path), "disk"), "home")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert (line.state, "No space left on device" in line.found) == (State.BROKEN, True)
    assert "set HEADWATER_HOME to a folder on another disk" in line.way_out


def test_settings_that_ask_for_more_memory_than_there_is_are_named(sound: Settings) -> None:
    greedy = with_settings(sound, local_workers=2, dedup_memory_bytes_max=10**13, query_memory_bytes_max=10**14)
    found = look(greedy, "memory")
    assert only(found, "memory").state == State.BROKEN
    assert "HEADWATER_DEDUP_MEMORY_BYTES_MAX" in only(found, "memory").way_out
    assert "HEADWATER_QUERY_MEMORY_BYTES_MAX=" in only(found, "memory of queries").way_out
    assert ill(look(sound, "memory")) == []


def test_too_few_open_files_are_named(sound: Settings) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    states = {}
    for limit in (1023, 1024, 4095, 4096):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            states[limit] = only(look(sound, "open files"), "open files").state
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert states == {1023: State.BROKEN, 1024: State.WARNING, 4095: State.WARNING, 4096: State.OK}


# Kafka


def test_a_kafka_that_is_away_is_named_and_what_needs_it_is_left_out(sound: Settings) -> None:
    away = with_settings(sound, kafka=f"127.0.0.1:{closed_port()}")
    found = look(away, "Kafka", "topics", "group", "clock and Kafka")
    line = only(found, "Kafka")
    assert line.state == State.BROKEN
    assert line.found.startswith(f"Kafka at '{away.kafka}' (HEADWATER_KAFKA) does not answer")
    assert "'headwater up' starts the local one" in line.way_out
    assert {only(found, subject).state for subject in ("topics", "group", "clock and Kafka")} == {State.UNCHECKED}
    assert ill(look(sound, "Kafka")) == []


def test_brokers_that_refuse_what_is_set_are_named(sound: Settings) -> None:
    found = look(with_settings(sound, topic_replication=3), "Kafka", "worker session")
    line = only(found, "HEADWATER_TOPIC_REPLICATION")
    assert (line.state, line.found) == (State.BROKEN, "3, with 1 broker")
    assert line.way_out.startswith("set HEADWATER_TOPIC_REPLICATION=1")
    assert only(found, "worker session").found == "because 'Kafka' is broken"
    # What the settings allow and the brokers do not is beyond what a test's brokers were started with.
    line = only(look(sound.model_copy(update={"worker_session_secs": 5}), "worker session"), "worker session")
    assert (line.state, line.way_out) == (State.BROKEN, "set HEADWATER_WORKER_SESSION_SECS=6")
    assert ill(look(sound, "Kafka", "worker session")) == []


def test_topics_that_are_not_as_declared_are_named_and_each_way_out_mends_its_line(settings: Settings) -> None:
    names = {topic.name: topic_name(settings, topic) for topic in TOPICS}
    raw, updates, rejected, membership, triggers = names.values()
    good = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "67108864", "retention.ms": "604800000"}
    wrong = [
        NewTopic(raw, num_partitions=4, replication_factor=1, topic_configs=good | {"message.timestamp.type": "CreateTime"}),
        NewTopic(updates, num_partitions=2, replication_factor=1, topic_configs=good),
        NewTopic(rejected, num_partitions=4, replication_factor=1, topic_configs=good | {"retention.ms": "3600000", "max.message.bytes": "1000"}),
        NewTopic(membership, num_partitions=2, replication_factor=1, topic_configs=good),
    ]  # fmt: skip
    with open_admin(settings) as admin:
        admin.create_topics(wrong, wait_for_metadata=True)
    wish = with_settings(settings, topic_partitions=4)
    found = look(wish, "topics")
    line = only(found, f"topic {raw}")
    assert (line.state, line.found) == (State.BROKEN, "message.timestamp.type is CreateTime")
    assert line.expected.startswith("LogAppendTime")
    assert (only(found, f"topic {updates}").found, only(found, f"topic {triggers}").found) == ("2 partitions", "missing")
    assert [(one.state, one.found) for one in found[f"topic {rejected}"]] == [
        (State.WARNING, "max.message.bytes is 1000"),
        (State.WARNING, "retention.ms is 3600000"),
    ]
    assert only(found, f"topic {membership}").found == "cleanup.policy is delete"

    for lines in found.values():
        for one in lines:
            if one.way_out.startswith("headwater up"):
                ensure_topics(wish)
            elif one.way_out:
                subprocess.run(shlex.split(one.way_out), cwd=ROOT, check=True, capture_output=True, timeout=60)
    wait_until(lambda: ill(look(wish, "topics")) == [], "every topic is as declared")
    more = with_settings(settings, topic_partitions=3)
    assert only(look(more, "topics"), f"topic {raw}").way_out == "unset HEADWATER_TOPIC_PARTITIONS, or set it to 4"
    assert ill(look(settings, "topics")) == []
    with open_admin(settings) as admin:
        admin.delete_topics(list(names.values()))


def test_a_stranger_in_the_workers_group_is_named(sound: Settings) -> None:
    options = confluent_options(sound) | {"group.id": sound.worker_group, "session.timeout.ms": 6000}
    stranger = confluent_kafka.Consumer(options)
    other = topic_name(sound, TOPICS[2])
    stranger.subscribe([other])
    try:
        wait_until(lambda: bool(stranger.poll(0.1) or stranger.assignment()), "the stranger has joined")
        line = only(look(sound, "group"), f"group {sound.worker_group}")
    finally:
        stranger.close()
    assert (line.state, f"that reads {other} is in it" in line.found) == (State.BROKEN, True)
    assert line.way_out.startswith("set HEADWATER_WORKER_GROUP")
    assert only(look(sound, "group"), f"group {sound.worker_group}").found == "no worker is in it: nothing lands"


# S3


def test_an_s3_that_is_away_lacks_the_bucket_or_refuses_the_key_is_named(sound: Settings) -> None:
    away = look(elsewhere(sound, s3_endpoint=f"http://127.0.0.1:{closed_port()}"), "S3", "S3 bucket", "clock and S3")
    assert (only(away, "S3").state, only(away, "S3 bucket").state) == (State.BROKEN, State.UNCHECKED)
    assert "HEADWATER_S3_ENDPOINT" in only(away, "S3").way_out

    missing = look(elsewhere(sound, s3_bucket="nowhere"), "S3 bucket", "S3 conditional writes")
    assert (only(missing, "S3").state, only(missing, "S3 bucket").state) == (State.OK, State.BROKEN)
    assert "has no bucket 'nowhere' (HEADWATER_S3_BUCKET)" in only(missing, "S3 bucket").found
    assert only(missing, "S3 bucket").way_out.startswith("create it, or name another")
    assert only(missing, "S3 conditional writes").found == "because 'S3 bucket' is broken"

    for wrong in ({"s3_access_key_id": "STRANGER"}, {"s3_secret_access_key": "not the secret"}):
        refused = look(elsewhere(sound, **wrong), "S3 bucket")
        assert only(refused, "S3 key").state == State.BROKEN
        assert "HEADWATER_S3_ACCESS_KEY_ID and its secret" in only(refused, "S3 key").way_out
        assert not any("not the secret" in str(line) for lines in refused.values() for line in lines)
    name = look(elsewhere(sound, s3_bucket="no bucket!"), "S3 bucket")
    assert only(name, "S3 bucket").way_out == "set HEADWATER_S3_BUCKET"
    assert ill(look(elsewhere(sound), "S3", "S3 bucket", "S3 conditional writes", "S3 reader's key", "clock and S3")) == []


def test_a_store_that_ignores_the_condition_of_a_write_is_named(sound: Settings) -> None:
    change = Change()
    with s3_behind(sound, change) as behind:
        proxied = elsewhere(sound, **behind)
        assert ill(look(proxied, "S3 conditional writes", "clock and S3", "S3 reader's key")) == [], "the proxy itself changes nothing"
        change.drops = frozenset({"if-none-match"})
        line = only(look(proxied, "S3 conditional writes"), "S3 conditional writes")
    assert line.state == State.BROKEN
    assert "cannot keep commits apart" in line.found
    assert line.expected.startswith("a store with conditional writes")
    assert line.way_out == "name another store: HEADWATER_S3_ENDPOINT"


def test_a_readers_key_that_can_write_and_the_writers_key_in_its_place_are_named(sound: Settings) -> None:
    subject = "S3 reader's key"
    with s3_behind(sound, Change()) as behind:
        other = elsewhere(sound, **behind, s3_reader_access_key_id="OTHERKEY", s3_reader_secret_access_key="also any")
        line = only(look(other, subject), subject)
        assert (line.state, line.found) == (State.BROKEN, f"OTHERKEY can write to bucket '{sound.s3_bucket}'")
        assert "HEADWATER_S3_READER_ACCESS_KEY_ID" in line.way_out
    assert "Contents" not in build_store(sound).client().list_objects_v2(Bucket=sound.s3_bucket, Prefix="lake/_probe/")
    keys = load_keys(sound)["s3"]["writer"]
    same = elsewhere(sound, s3_reader_access_key_id=keys["access_key_id"], s3_reader_secret_access_key=keys["secret_access_key"])
    assert only(look(same, subject), subject).found.startswith("queries use the writer's key")
    unknown = elsewhere(sound, s3_reader_access_key_id="STRANGER")
    assert "refuses the key" in only(look(unknown, subject), subject).found
    assert ill(look(sound, subject)) == []


# Clocks


def test_a_clock_that_is_not_s3s_is_named(sound: Settings) -> None:
    change = Change()
    found = {}
    with s3_behind(sound, change) as behind:
        for secs in (0, 60, -60, 1200):
            change.date_moved_by = timedelta(seconds=secs)
            line = only(look(elsewhere(sound, **behind), "clock and S3"), "clock and S3")
            found[secs] = (line.state, line.found)
    assert found[0] == (State.OK, "within 5 s of each other")
    assert [state for state, _ in found.values()] == [State.OK, State.WARNING, State.WARNING, State.BROKEN]
    assert re.fullmatch(r"this machine is 1,(19|20)\d s behind S3", found[1200][1])
    late = only(look(sound, "clock and S3", now=lambda: time.time() + 3600), "clock and S3")
    assert (late.state, "NTP" in late.way_out) == (State.BROKEN, True)
    assert re.search(r"3,(599|600|601) s ahead of S3", late.found)


def test_a_clock_behind_kafkas_is_named(sound: Settings) -> None:
    subject = "clock and Kafka"
    assert only(look(sound, subject), subject).state == State.UNCHECKED, "no record yet"
    send(sound, [event("one")])
    assert only(look(sound, subject), subject).state == State.OK
    line = only(look(sound, subject, now=lambda: time.time() - 60), subject)
    assert line.state == State.WARNING
    assert "ahead of this machine" in line.found
    assert "NTP" in line.way_out
