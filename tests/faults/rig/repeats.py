"""Records that Kafka has twice of one sending: the producer's repetition, which no pipeline can tell from another record."""

import hashlib

from pipeline.config import Settings
from tests.faults.rig.load import Load
from tests.faults.rig.read_topic import read_all
from tests.stream import raw_events


def note_repeats(settings: Settings, load: Load) -> int:
    """Add to the ledger of a load that has stopped what it had Kafka write once more, and return how many records that is.

    Of a batch that a killed broker took without answering, Kafka may keep both attempts: a producer that cannot know what became of it begins
    anew with another epoch, by which it is not recognised. Both are records of Kafka's, each of which must land once. Raises AssertionError when
    Kafka has a record that nobody sent.
    """
    known, sent = set[tuple[int, int]](), dict[str, tuple[str | None, bool]]()
    for entry in load.ledger.entries():
        known.add((entry["partition"], entry["offset"]))
        sent[entry["sha256"]] = entry["event_id"], entry["is_certain"]
    before = load.ledger.count
    for message in read_all(settings.kafka_servers, raw_events(settings), {partition for partition, _ in known}):
        partition, offset, value = message.partition() or 0, message.offset() or 0, message.value() or b""
        if (partition, offset) not in known:
            digest = hashlib.sha256(value).hexdigest()
            assert digest in sent, f"nobody sent what Kafka has in partition {partition} at offset {offset}: {value[:60]!r}"
            event_id, is_certain = sent[digest]
            load.ledger.add(event_id, partition, offset, value, is_certain)
    load.ledger.flush()
    return load.ledger.count - before
