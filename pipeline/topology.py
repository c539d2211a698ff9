"""Which topics there are and which table each lands in: the whole flow on one screen."""

from dataclasses import dataclass

from pipeline.config import Settings


@dataclass(frozen=True)
class Topic:
    """A topic that Headwater declares."""

    name: str
    meaning: str
    is_compacted: bool = False


RAW_EVENTS = Topic("raw-events", "stream records as they enter; key app_id/endpoint_id")
ENDPOINT_UPDATES = Topic("endpoint-updates", "updates of endpoints; key app_id/endpoint_id")
REJECTED_EVENTS = Topic(
    "rejected-events", "items that the collector refused, each in an envelope; land in dead_letters; key app_id/endpoint_id where known"
)
SEGMENT_MEMBERSHIP = Topic("segment-membership", "members of segments as they enter and leave", is_compacted=True)
CAMPAIGN_TRIGGERS = Topic("campaign-triggers", "events that a triggered campaign waits for")
TOPICS = (RAW_EVENTS, ENDPOINT_UPDATES, REJECTED_EVENTS, SEGMENT_MEMBERSHIP, CAMPAIGN_TRIGGERS)


@dataclass(frozen=True)
class LandingStream:
    """A topic whose records land in the lake through the agent `ingest`: in a table, and in dead_letters what is not fit for it.

    `steps` names what makes rows of them, which pipeline/worker.py knows. `table` names the Avro schema of the rows in schemas/; it keeps the
    stream's offsets, also where the steps make nothing but dead letters.
    """

    topic: Topic
    steps: str
    table: str


LANDING_STREAMS = (
    LandingStream(RAW_EVENTS, steps="events", table="events"),
    LandingStream(REJECTED_EVENTS, steps="rejected", table="events"),
    LandingStream(ENDPOINT_UPDATES, steps="endpoints", table="endpoint_updates"),
)
# The tables that these streams land in, each once.
LANDING_TABLES = tuple(dict.fromkeys(stream.table for stream in LANDING_STREAMS))


def topic_name(settings: Settings, topic: Topic) -> str:
    """The topic's name in this Kafka."""
    return settings.topic_prefix + topic.name
