"""What a checker found, and where it looks: the two have nothing else in common."""

from dataclasses import dataclass, field

from pipeline.config import Settings
from tests.stream import raw_events


@dataclass(frozen=True)
class Place:
    """A lake and a topic whose records it should hold. `topic_id` '' means whichever topic has had the name."""

    endpoint: str
    bucket: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    topic: str = ""
    topic_id: str = ""


@dataclass(frozen=True)
class Findings:
    """Records of the ledger against rows of `events` and `dead_letters` together.

    `lost`: records without a row; `duplicate`: rows beyond the first of a (topic id, partition, offset); `altered`: rows whose payload has
    another hash than the record, or whose event has another id or mark; `misplaced`: rows of records whose outcome is certain that have
    another: no event, no duplicate, or an event twice; `extra`: rows of which the ledger has no record; `holes`: those of the lost
    that lie before a row of their partition, so that nobody will read them any more.
    """

    records: int
    events: int
    dead: int
    lost: int
    duplicate: int
    altered: int
    misplaced: int
    extra: int
    holes: int

    @property
    def is_clean(self) -> bool:
        """Nothing lost, doubled, altered, misplaced or made up, and every record is an event or a dead letter."""
        return (self.lost, self.duplicate, self.altered, self.misplaced, self.extra) == (
            0,
            0,
            0,
            0,
            0,
        ) and self.events + self.dead == self.records


def place_of(settings: Settings, topic_id: str = "") -> Place:
    """The lake of a test's settings, and its raw-events."""
    return Place(
        f"http://127.0.0.1:{settings.s3_port}",
        settings.s3_bucket,
        settings.local_secret("s3", "writer", "access_key_id"),
        settings.local_secret("s3", "writer", "secret_access_key"),
        raw_events(settings),
        topic_id,
    )
