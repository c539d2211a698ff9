"""The workers' group: somebody is in it, nobody else is, and every partition has an owner."""

from collections.abc import Iterator

from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, ok, warning
from pipeline.group_status import Group, read_group
from pipeline.topic_ids import look_up_topics
from pipeline.topology import LANDING_STREAMS, RAW_EVENTS, topic_name


def check_group(case: Case) -> Iterator[Finding]:
    """The group as Kafka has it now."""
    settings = case.settings
    group = read_group(settings)
    subject = f"group {group.name}"
    names = [topic_name(settings, stream.topic) for stream in LANDING_STREAMS]
    # Workers of every release read this one.
    raw_events = topic_name(settings, RAW_EVENTS)
    strangers = [member for member in group.members if member.subscribed and raw_events not in member.subscribed]
    if strangers:
        read = sorted({topic for member in strangers for topic in member.subscribed})
        yield broken(
            subject,
            f"a client from {strangers[0].host} that reads {', '.join(read)} is in it: it is no worker of this pipeline",
            f"only workers, which read {', '.join(names)}",
            "set HEADWATER_WORKER_GROUP to a name of its own, or give that client another group",
        )
    elif group.state in ("Empty", "Dead"):
        yield warning(subject, "no worker is in it: nothing lands", "one worker or more", "headwater up (elsewhere: headwater worker)")
    elif group.state != "Stable":
        yield warning(
            subject,
            f"partitions are being shared out ({group.state})",
            "Stable",
            "ask again in a few seconds; headwater logs worker-0 if it lasts",
        )
    else:
        counts = {name: state.partition_count for name, state in look_up_topics(settings, names).items()}
        yield from _check_shares(subject, group, counts)


def _check_shares(subject: str, group: Group, counts: dict[str, int]) -> Iterator[Finding]:
    owned = {(name, number) for member in group.members for name, numbers in member.partitions.items() for number in numbers}
    orphaned = [f"{name}/{number}" for name, count in counts.items() for number in range(count) if (name, number) not in owned]
    idle = [member.instance or member.member_id for member in group.members if not any(member.partitions.values())]
    if orphaned:
        yield warning(
            subject,
            f"nobody reads {', '.join(orphaned)}",
            "an owner for every partition",
            "ask again in a few seconds; headwater logs worker-0 if it lasts",
        )
    elif idle:
        more = len(group.members)
        yield warning(
            subject,
            f"{', '.join(idle)} has no partition to read: there are {more} workers for {max(counts.values())} partitions of a topic",
            "as many partitions as workers, or more",
            f"HEADWATER_TOPIC_PARTITIONS={more} headwater up, or fewer workers",
        )
    else:
        yield ok(subject, f"{len(group.members)} in it, every partition has its owner")
