"""The clock of this machine against those of S3 and Kafka. Nothing is written for it."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import botocore.exceptions
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec

from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, ok, unchecked, warning
from pipeline.kafka_admin import open_admin
from pipeline.stores import build_store
from pipeline.topology import LANDING_STREAMS, topic_name

SKEW_SECS_WARNED = 5.0
# Signature version 4: S3 refuses what was signed at a time further away.
SKEW_SECS_MAX = 900.0
WAY_OUT = "set this machine's clock, and keep it by NTP (timedatectl set-ntp true), or the server's"


def check_s3_clock(case: Case) -> Iterator[Finding]:
    """The Date of an answer of S3, be it a refusal, against the middle of the time that it took."""
    store = build_store(case.settings)
    started = case.now()
    try:
        metadata = store.client().list_objects_v2(Bucket=store.bucket, Prefix="lake/", MaxKeys=1)["ResponseMetadata"]
    except botocore.exceptions.ClientError as error:
        metadata = error.response["ResponseMetadata"]
    except botocore.exceptions.BotoCoreError as error:
        yield unchecked("clock and S3", f"S3 was not asked ({type(error).__name__})")
        return
    said = metadata["HTTPHeaders"].get("date", "")
    if not said:
        yield unchecked("clock and S3", "the store's answers have no Date")
        return
    # The header has whole seconds.
    ahead = (started + case.now()) / 2 - (parsedate_to_datetime(said).timestamp() + 0.5)
    found = f"this machine is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} S3"
    if abs(ahead) > SKEW_SECS_MAX:
        yield broken(
            "clock and S3", found, f"at most {SKEW_SECS_MAX / 60:g} min: S3 refuses requests whose signature has another time", WAY_OUT
        )
    elif abs(ahead) > SKEW_SECS_WARNED:
        yield warning(
            "clock and S3", found, f"at most {SKEW_SECS_WARNED:g} s; from {SKEW_SECS_MAX / 60:g} min on S3 refuses every request", WAY_OUT
        )
    else:
        yield ok("clock and S3", f"within {SKEW_SECS_WARNED:g} s of each other")


def check_kafka_clock(case: Case) -> Iterator[Finding]:
    """The newest append time that there is: it cannot be later than now. An old one says nothing, since topics may be idle."""
    names = [topic_name(case.settings, stream.topic) for stream in LANDING_STREAMS]
    with open_admin(case.settings) as admin:
        states = [state for state in admin.describe_topics(names) if not state["error_code"]]
        resources = [ConfigResource(ConfigResourceType.TOPIC, state["name"]) for state in states]
        configs = admin.describe_configs(resources, config_filter="all")["topic"] if resources else {}
        partitions = [
            TopicPartition(state["name"], partition["partition_index"])
            for state in states
            if configs[state["name"]]["message.timestamp.type"]["value"] == "LogAppendTime"
            for partition in state["partitions"]
        ]
        offsets = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.MAX_TIMESTAMP)) if partitions else {}
    newest = max((found.timestamp for found in offsets.values()), default=-1)
    if newest < 0:
        yield unchecked("clock and Kafka", "no topic that carries Kafka's append time has a record yet")
        return
    ahead = newest / 1000 - case.now()
    if ahead > SKEW_SECS_WARNED:
        found = f"Kafka's newest append time is {ahead:,.0f} s ahead of this machine"
        yield warning(
            "clock and Kafka", found, f"at most {SKEW_SECS_WARNED:g} s: lag, freshness and lateness are measured between them", WAY_OUT
        )
    else:
        yield ok("clock and Kafka", f"the newest record was appended {max(0.0, -ahead):,.0f} s ago, none in the future")
