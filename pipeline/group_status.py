"""Who does how much: the workers of the consumer group as Kafka has them, and what of the stream each of them owns."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kafka.errors import CoordinatorNotAvailableError, KafkaError

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from schemas.errors import UnavailableError

COORDINATOR_SECS_MAX = 5.0


@dataclass(frozen=True)
class Member:
    """A worker in the group. `instance` is its HEADWATER_WORKER_INSTANCE, '' for a dynamic member; `subscribed` are topics, `partitions` what it owns of each."""

    member_id: str
    instance: str
    host: str
    subscribed: tuple[str, ...]
    partitions: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Group:
    """The consumer group. `state` is Kafka's word: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead (nobody was ever in it)."""

    name: str
    state: str
    members: tuple[Member, ...]


class Work(NamedTuple):
    """What there is of one partition: offsets that have not landed, offsets that Kafka holds."""

    lag: int
    records: int


def read_group(settings: Settings) -> Group:
    """The workers' group as Kafka has it now; members by instance, then by id.

    Raises UnavailableError when Kafka does not answer or does not say.
    """
    name = settings.worker_group
    with open_admin(settings) as admin:
        try:
            found = _describe(admin, name)
        except KafkaError as error:
            raise _unsaid(settings, f"{type(error).__name__}: {error}") from None
    members = sorted(map(_read_member, found["members"]), key=lambda member: (member.instance, member.member_id))
    return Group(name, str(found["group_state"]), tuple(members))


def share_topic(group: Group, topic: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each member owns of a topic of `read_stream_status`; partitions that nobody owns come last, under member null.

    [{"member", "instance", "host", "partitions": [..], "lag", "lag_share", "records", "records_share"}]. `records` are the offsets
    that Kafka holds; shares are of the topic's, 0 when it has none.
    """
    work = {row["partition"]: Work(row["lag"], row["end_offset"] - row["first_offset"]) for row in topic["partitions"]}
    owners: list[tuple[Member | None, list[int]]] = [
        (member, [number for number in member.partitions.get(topic["topic"], ()) if number in work]) for member in group.members
    ]
    orphaned = sorted(set(work) - {number for _, numbers in owners for number in numbers})
    if orphaned:
        owners.append((None, orphaned))
    return [
        {
            "member": member.member_id if member else None,
            "instance": member.instance if member else None,
            "host": member.host if member else None,
            "partitions": numbers,
            **_sum_up(work, numbers),
        }
        for member, numbers in owners
    ]


def _describe(admin: Any, name: str) -> dict[str, Any]:
    """Kafka's description of a group. Where nobody ever joined one, Kafka makes the topic of its groups first, and says so meanwhile."""
    end = time.monotonic() + COORDINATOR_SECS_MAX
    while True:
        try:
            found: dict[str, Any] = admin.describe_groups([name])[name]
            # One that is not found is called dead, which is an answer.
            if found["error"] and found["group_state"] != "Dead":
                raise CoordinatorNotAvailableError(found["error"])
            return found
        except KafkaError as error:
            if not error.retriable or time.monotonic() > end:
                raise
            time.sleep(0.1)


def _unsaid(settings: Settings, why: str) -> UnavailableError:
    return UnavailableError(
        f"Kafka at '{settings.kafka_servers}' (HEADWATER_KAFKA) does not say who is in group '{settings.worker_group}' ({why}); expected "
        "leave to describe HEADWATER_WORKER_GROUP. Ask again, or have Kafka's keeper allow it."
    )


def _read_member(found: Mapping[str, Any]) -> Member:
    # A member that is still joining has told nothing yet.
    metadata, assignment = found["member_metadata"] or {}, found["member_assignment"] or {}
    return Member(
        member_id=found["member_id"],
        instance=found["group_instance_id"] or "",
        host=found["client_host"].lstrip("/"),
        subscribed=tuple(metadata.get("topics", ())) if isinstance(metadata, dict) else (),
        partitions={
            topic["topic"]: tuple(sorted(topic["partitions"]))
            for topic in (assignment.get("assigned_partitions", ()) if isinstance(assignment, dict) else ())
        },
    )


def _sum_up(work: Mapping[int, Work], numbers: list[int]) -> dict[str, float]:
    lag, records = sum(work[number].lag for number in numbers), sum(work[number].records for number in numbers)
    return {
        "lag": lag,
        "lag_share": _divide(lag, sum(one.lag for one in work.values())),
        "records": records,
        "records_share": _divide(records, sum(one.records for one in work.values())),
    }


def _divide(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
