"""Topics: each that Headwater declares is there, and is what was declared."""

from collections.abc import Iterator, Mapping
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType

from pipeline.config import Settings
from pipeline.doctor.broker import alter_command
from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, ok, warning
from pipeline.kafka_admin import open_admin
from pipeline.topics import topic_config
from pipeline.topology import TOPICS, Topic, topic_name

# What is said of a property that differs. Those that are not named here make a warning: the stream works, less well than declared.
HARM = {
    "message.timestamp.type": "the producers' clocks then decide which resends are recognised and in which folder an event lands",
    "cleanup.policy": "compaction removes events that have the same key; expiry removes state that is still valid",
}
LOSS = {
    "max.message.bytes": "larger messages are refused to their producer and leave no dead letter",
    "retention.ms": "what a worker has not read by then is gone, or disks hold more than was planned",
}


def check_topics(case: Case) -> Iterator[Finding]:
    """A line for each topic that is as declared, one for each property that is not."""
    settings = case.settings
    names = {topic_name(settings, topic): topic for topic in TOPICS}
    with open_admin(settings) as admin:
        states = {state["name"]: state for state in admin.describe_topics(list(names)) if not state["error_code"]}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in states]
        configs = admin.describe_configs(resources, config_filter="all")["topic"] if resources else {}
    for name, topic in names.items():
        if name not in states:
            yield broken(
                f"topic {name}", "missing", "made as pipeline/TOPICS.md says", "headwater up (elsewhere a worker makes it when it starts)"
            )
            continue
        found = [*_check_partitions(settings, name, topic, states[name]), *_check_config(settings, name, topic, configs[name])]
        count = len(states[name]["partitions"])
        yield from found or [ok(f"topic {name}", f"{count} {'partition' if count == 1 else 'partitions'}, configured as declared")]


def _check_partitions(settings: Settings, name: str, topic: Topic, state: Mapping[str, Any]) -> Iterator[Finding]:
    partitions, subject = state["partitions"], f"topic {name}"
    headless = [partition["partition_index"] for partition in partitions if partition["leader_id"] < 0]
    if headless:
        yield broken(
            subject,
            f"partitions {headless} have no leader: nobody can write or read them",
            "a broker that leads each",
            "start the brokers that hold them",
        )
    # A default is no wish; and state topics keep the number that they were made with.
    is_wish = "topic_partitions" in settings.model_fields_set and not topic.is_compacted
    count, wanted = len(partitions), settings.topic_partitions
    if is_wish and count < wanted:
        yield broken(
            subject,
            f"{count} partitions",
            f"{wanted} (HEADWATER_TOPIC_PARTITIONS)",
            "headwater up (elsewhere start one worker anew): it adds them",
        )
    if is_wish and count > wanted:
        yield broken(
            subject,
            f"{count} partitions, and Kafka cannot take any away",
            f"{wanted} (HEADWATER_TOPIC_PARTITIONS)",
            f"unset HEADWATER_TOPIC_PARTITIONS, or set it to {count}",
        )
    copies = min((len(partition["replica_nodes"]) for partition in partitions), default=0)
    if "topic_replication" in settings.model_fields_set and copies < settings.topic_replication:
        yield warning(
            subject,
            f"a partition with {copies} replicas",
            f"{settings.topic_replication} (HEADWATER_TOPIC_REPLICATION, for new topics only)",
            "have Kafka's keeper reassign its partitions",
        )


def _check_config(settings: Settings, name: str, topic: Topic, config: Mapping[str, Any]) -> Iterator[Finding]:
    for key, wanted in topic_config(settings, topic).items():
        found = config[key]["value"]
        if found == wanted or (key == "max.message.bytes" and int(found) > int(wanted)):
            continue
        say = broken if key in HARM else warning
        expected = f"{wanted}: else {(HARM | LOSS)[key]}"
        yield say(f"topic {name}", f"{key} is {found}", expected, alter_command(settings, name, key, wanted))
