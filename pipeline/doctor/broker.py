"""Kafka: a broker answers under these settings, there are enough of them, and they take workers as these are set."""

import os
import sys
from collections.abc import Iterator

from kafka.admin import ConfigResource, ConfigResourceType

from pipeline.config import Settings
from pipeline.doctor.check import ROOT, Case
from pipeline.doctor.finding import Finding, broken, ok, unchecked
from pipeline.kafka_admin import open_admin
from pipeline.stack.readiness import is_listening
from pipeline.stack.supervision import Supervisor


def check_kafka(case: Case) -> Iterator[Finding]:
    """A broker answers, TLS and SASL included, and there are as many as a topic is to have replicas."""
    settings = case.settings
    if settings.kafka_is_local and is_stack_down(settings, settings.kafka_port):
        yield unchecked("Kafka", "the local stack does not run; 'headwater up' starts it")
        return
    with open_admin(settings) as admin:
        brokers = [broker for broker in admin.describe_cluster()["brokers"] if not broker["is_fenced"]]
        yield ok("Kafka", f"{settings.kafka_servers} answers; brokers: {len(brokers)}")
        if settings.topic_replication > len(brokers):
            yield broken(
                "HEADWATER_TOPIC_REPLICATION",
                f"{settings.topic_replication}, with {len(brokers)} {'broker' if len(brokers) == 1 else 'brokers'}",
                "at most as many replicas as brokers, or no topic can be made",
                f"set HEADWATER_TOPIC_REPLICATION={len(brokers)}, or add brokers",
            )


def check_session(case: Case) -> Iterator[Finding]:
    """A worker's session is one that the brokers allow."""
    secs = case.settings.worker_session_secs
    with open_admin(case.settings) as admin:
        broker = ConfigResource(ConfigResourceType.BROKER, str(admin.describe_cluster()["brokers"][0]["broker_id"]))
        limits = admin.describe_configs([broker], config_filter="all")["broker"][broker.name]
    secs_min, secs_max = (int(limits[f"group.{end}.session.timeout.ms"]["value"]) / 1000 for end in ("min", "max"))
    if secs_min <= secs <= secs_max:
        yield ok("worker session", f"{secs:g} s; the brokers allow {secs_min:g} to {secs_max:g}")
    else:
        yield broken(
            "worker session",
            f"HEADWATER_WORKER_SESSION_SECS is {secs:g}, which the brokers refuse to a worker",
            f"{secs_min:g} to {secs_max:g} s (group.min.session.timeout.ms, group.max.session.timeout.ms)",
            f"set HEADWATER_WORKER_SESSION_SECS={min(max(secs, secs_min), secs_max):g}",
        )


def is_stack_down(settings: Settings, port: int) -> bool:
    """Nobody keeps a stack under this home, and nobody listens either."""
    return Supervisor(settings).pid() is None and not is_listening(port)


def alter_command(settings: Settings, topic: str, name: str, value: str) -> str:
    """The command that sets one property of a topic, with kafka-python's own tool."""
    python = ".venv/bin/python" if os.path.realpath(sys.prefix) == os.path.realpath(ROOT / ".venv") else sys.executable
    server = settings.kafka_servers.split(",")[0].strip()
    command = f"{python} -m kafka.admin -b {server} configs alter -r topic -n {topic} -c {name}={value}"
    if settings.kafka_security_protocol == "PLAINTEXT":
        return command
    return (
        f"{command} (with -S {settings.kafka_security_protocol} and what else the brokers ask for; {python} -m kafka.admin --help lists it)"
    )
