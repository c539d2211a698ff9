"""What the local stack runs: for each program its start script, its configuration, the ports it takes and how it is stopped."""

import hashlib
import os
import shlex
import string
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pipeline.collect.streams import load_streams, with_absolute_paths
from pipeline.config import Settings
from pipeline.stack.artifacts import fetch_artifacts, load_lock
from pipeline.stack.java import find_java
from pipeline.stack.keys import load_keys
from pipeline.topics import MESSAGE_BYTES_MAX

TEMPLATES = Path(__file__).parents[2] / "deploy" / "local"

# A wrong setting or an unfit store (2) and a worker that stopped because going on would do harm (3) are for a person to mend.
EXIT_CODES_FINAL = (2, 3)
STACK_SETTINGS = ("HEADWATER_LOCAL_", "HEADWATER_TOPIC_PARTITIONS")
# What the API alone needs; a worker neither starts anew for it nor holds its secrets.
SERVE_SETTINGS = ("HEADWATER_API_", "HEADWATER_DEFINITIONS_KEY", "HEADWATER_ACK_SECS_MAX")
API_SETTINGS = (*SERVE_SETTINGS, "HEADWATER_DEFINITIONS_", "HEADWATER_JOB_")


@dataclass(frozen=True)
class Program:
    """One process of the stack.

    `script` is a shell script that ends in `exec`; `files` are configuration files by name; `ports` says what listens where.
    `exit_codes_final` are those after which supervisor does not start it again.
    """

    name: str
    script: str
    ports: Mapping[str, int]
    stop_secs: int
    priority: int
    files: Mapping[str, str] = field(default_factory=dict)
    exit_codes_final: tuple[int, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Changes when anything that the program is started with changes."""
        return hashlib.sha256(repr((self.script, sorted(self.files.items()))).encode()).hexdigest()[:12]


def stack_folder(settings: Settings) -> Path:
    """Where generated scripts and configuration lie; its presence marks a folder as a Headwater home."""
    return settings.home.resolve() / "stack"


def local_programs(settings: Settings) -> list[Program]:
    """The programs that these settings ask for: Kafka and S3 unless they are elsewhere, the workers, the API, the runner of jobs and maintenance.

    Raises UnavailableError when Java or a jar is missing.
    """
    lock = load_lock()
    wanted = (["kafka"] if settings.kafka_is_local else []) + (["s3"] if settings.s3_is_local else [])
    jars = fetch_artifacts([artifact for name in wanted for artifact in lock[name]])
    programs = []
    if settings.kafka_is_local:
        programs.append(_kafka(settings, jars[: len(lock["kafka"])]))
    if settings.s3_is_local:
        programs.append(_s3(settings, jars[-len(lock["s3"]) :]))
    programs += [_worker(settings, index) for index in range(settings.local_workers)]
    programs += [_api(settings)] if settings.local_api else []
    # Without the API there is nobody who asks for a job.
    programs += [_jobs(settings)] if settings.local_api and settings.local_jobs else []
    return programs + ([_maintain(settings)] if settings.local_maintenance else [])


def _kafka(settings: Settings, jars: list[Path]) -> Program:
    home, properties = settings.home.resolve(), stack_folder(settings) / "kafka.properties"
    java = [
        find_java(settings),
        f"-Xmx{settings.local_kafka_heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
        "-cp",
        os.pathsep.join(map(str, jars)),
    ]
    cluster_id = load_keys(settings)["kafka_cluster_id"]
    log_folder = home / "kafka"
    format_command = [*java, "kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", str(properties)]
    script = (
        f"if [ ! -e {shlex.quote(str(log_folder / 'meta.properties'))} ]; then {shlex.join(format_command)} || exit 1; fi\n"
        f"exec {shlex.join([*java, 'kafka.Kafka', str(properties)])}\n"
    )
    text = _render(
        "kafka.properties",
        kafka_port=settings.kafka_port,
        controller_port=settings.kafka_controller_port,
        log_folder=log_folder,
        message_bytes_max=MESSAGE_BYTES_MAX,
        request_bytes_max=2 * MESSAGE_BYTES_MAX,
    )
    ports = {"Kafka": settings.kafka_port, "Kafka's controller": settings.kafka_controller_port}
    return Program("kafka", script, ports, stop_secs=20, priority=10, files={"kafka.properties": text})


def _s3(settings: Settings, jars: list[Path]) -> Program:
    folder, keys = settings.home.resolve() / "s3", load_keys(settings)["s3"]
    files = {
        f"s3-{role}.properties": _render(
            "s3.properties", s3_port=settings.s3_port, folder=folder, is_read_only=str(role == "reader").lower(), **keys[role]
        )
        for role in ("writer", "reader")
    }
    java = [find_java(settings), f"-Xmx{settings.local_s3_heap_mb}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
    arguments = [argument for name in files for argument in ("--properties", str(stack_folder(settings) / name))]
    script = (
        f"mkdir -p {shlex.quote(str(folder))} || exit 1\n"
        "export LOG_LEVEL=warn JETTY_LOG_LEVEL=warn\n"
        f"exec {shlex.join([*java, '-cp', os.pathsep.join(map(str, jars)), 'org.gaul.s3proxy.Main', *arguments])}\n"
    )
    return Program("s3", script, {"S3": settings.s3_port}, stop_secs=10, priority=10, files=files)


def _worker(settings: Settings, index: int) -> Program:
    name, metrics_port = f"worker-{index}", settings.metrics_address_port + index
    script = _own_script(settings, "worker", HEADWATER_WORKER_INSTANCE=name, HEADWATER_METRICS_PORT=str(metrics_port))
    ports = {f"the metrics page of {name}": metrics_port}
    return Program(name, script, ports, stop_secs=15, priority=100, exit_codes_final=EXIT_CODES_FINAL)


def _api(settings: Settings) -> Program:
    # A misspelt stream is said before the API that runs is stopped.
    load_streams(settings.api_streams)
    ports = {"the HTTP API": settings.api_address_port}
    # Requests that are under way, then what Kafka has not answered for.
    return Program("api", _own_script(settings, "serve"), ports, stop_secs=30, priority=100, exit_codes_final=EXIT_CODES_FINAL)


def _jobs(settings: Settings) -> Program:
    # A batch of rows, and what Kafka has not answered for.
    return Program("jobs", _own_script(settings, "jobs"), {}, stop_secs=30, priority=100, exit_codes_final=EXIT_CODES_FINAL)


def _maintain(settings: Settings) -> Program:
    ports = {"the metrics page of maintenance": settings.maintain_address_port}
    # A step may take as long as writing one file.
    return Program("maintain", _own_script(settings, "maintain"), ports, stop_secs=30, priority=100, exit_codes_final=EXIT_CODES_FINAL)


def _own_script(settings: Settings, command: str, **own: str) -> str:
    # Settings of the stack itself are left out: a worker need not start anew because there are more of them, or more partitions.
    left_out = {"serve": STACK_SETTINGS, "jobs": (*STACK_SETTINGS, *SERVE_SETTINGS)}.get(command, (*STACK_SETTINGS, *API_SETTINGS))
    shared = {variable: value for variable, value in environment(settings).items() if not variable.startswith(left_out)}
    variables = shared | {"HEADWATER_HOME": str(settings.home.resolve())} | own
    exports = "".join(f"export {variable}={shlex.quote(value)}\n" for variable, value in sorted(variables.items()))
    return f"{exports}exec {shlex.join([sys.executable, '-m', 'pipeline.cli', command])}\n"


def environment(settings: Settings) -> dict[str, str]:
    """The settings that were set, as the environment variables that set them; paths absolute, since a worker has another working folder."""
    found = {f"HEADWATER_{name.upper()}": _as_variable(getattr(settings, name)) for name in settings.model_fields_set}
    if "api_streams" in settings.model_fields_set:
        found["HEADWATER_API_STREAMS"] = ",".join(with_absolute_paths(settings.api_streams))
    return found


def _as_variable(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, Path):
        return str(value.resolve())
    return "" if value is None else str(value)


def _render(template: str, **values: object) -> str:
    return string.Template((TEMPLATES / template).read_text()).substitute({name: str(value) for name, value in values.items()})
