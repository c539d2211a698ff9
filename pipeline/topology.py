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
REJECTED_EVENTS = Topic("rejected-events", "items that the collector refused")
SEGMENT_MEMBERSHIP = Topic("segment-membership", "members of segments as they enter and leave", is_compacted=True)
CAMPAIGN_TRIGGERS = Topic("campaign-triggers", "events that a triggered campaign waits for")
TOPICS = (RAW_EVENTS, ENDPOINT_UPDATES, REJECTED_EVENTS, SEGMENT_MEMBERSHIP, CAMPAIGN_TRIGGERS)


@dataclass(frozen=True)
class LandingStream:
    """A topic whose records land in a table of the lake, through the agent `ingest`; what is not fit for it goes to dead_letters.

    `table` names the Avro schema of its rows in schemas/; pipeline/worker.py says which steps, and so which SQL, make them.
    """

    topic: Topic
    table: str


LANDING_STREAMS = (LandingStream(RAW_EVENTS, table="events"),)


def topic_name(settings: Settings, topic: Topic) -> str:
    """The topic's name in this Kafka."""
    return settings.topic_prefix + topic.name
