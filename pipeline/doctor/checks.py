"""Every check of the doctor on one screen, in the order of what stands on what."""

import functools
import importlib

from pipeline.doctor.check import Check, Run


def _load(path: str) -> Run:
    module, _, name = path.partition(".")
    found: Run = getattr(importlib.import_module(f"pipeline.doctor.{module}"), name)
    return found


def _named(path: str) -> functools.partial[Run]:
    """Loads the check `module.function` of this folder when it is wanted: a library that is missing is a line then, not the end."""
    return functools.partial(_load, path)


HOME = ("home", "port_offset")
KAFKA = (*HOME, "kafka", "topic")
S3 = (*HOME, "s3")

CHECKS = (
    Check("settings", _named("settings.check_names_and_values")),
    Check("settings together", _named("settings.check_agreement")),
    Check("keys of the stack", _named("settings.check_keys"), settings=HOME),
    Check("apps and keys", _named("definitions.check_definitions"), settings=(*HOME, "definitions", "api"), secs_max=12),
    Check("Python", _named("versions.check_python")),
    Check("libraries", _named("versions.check_packages")),
    Check("record reader", _named("versions.check_record_reader")),
    Check("queries of one's own", _named("queries.check_own_queries"), settings=("queries_folder",), secs_max=12),
    Check("Java", _named("versions.check_java"), settings=("local_java",)),
    Check(".venv", _named("environment.check_venv")),
    Check("disk", _named("disk.check_disk"), settings=HOME),
    Check("open files", _named("limits.check_open_files")),
    Check("memory", _named("limits.check_memory")),
    Check("lock of the stack", _named("environment.check_lock"), settings=HOME),
    Check("processes", _named("environment.check_processes"), settings=HOME),
    Check("ports", _named("ports.check_ports"), settings=(*HOME, "metrics_port", "local")),
    # Until it says why it refuses us, Kafka is given half a dozen seconds.
    Check("Kafka", _named("broker.check_kafka"), settings=KAFKA, secs_max=9),
    Check("worker session", _named("broker.check_session"), needs=["Kafka"], settings=(*KAFKA, "worker_session")),
    Check("topics", _named("topics.check_topics"), needs=["Kafka"], settings=KAFKA),
    Check("group", _named("group.check_group"), needs=["Kafka"], settings=(*KAFKA, "worker_group"), secs_max=9),
    Check("clock and Kafka", _named("clock.check_kafka_clock"), needs=["Kafka"], settings=KAFKA),
    Check("S3", _named("store.check_store"), settings=S3, secs_max=8),
    Check("clock and S3", _named("clock.check_s3_clock"), needs=["S3"], settings=S3),
    Check("S3 bucket", _named("store.check_bucket"), needs=["S3"], settings=S3),
    Check("S3 conditional writes", _named("store.check_conditional_writes"), needs=["S3 bucket"], settings=S3, secs_max=9),
    Check("S3 reader's key", _named("store.check_reader"), needs=["S3 bucket"], settings=S3),
)
