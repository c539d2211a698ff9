"""Archives for the tests of import: stream records, files of them in every format, and what stands in raw-events afterwards."""

import json
import uuid
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from pipeline.config import Settings, load_settings
from pipeline.imports.event_files import ImportOptions
from pipeline.imports.formats import detect_format
from pipeline.imports.mapping import Mapping
from pipeline.imports.outcome import Outcome
from pipeline.imports.places import Places
from pipeline.imports.read import batches, open_content
from pipeline.imports.records import RecordBuilder, Sealed
from pipeline.imports.run import import_addresses
from pipeline.stores import confluent_options
from pipeline.topology import RAW_EVENTS

Json = dict[str, Any]


def stream_record(number: int, **fields: Any) -> Json:
    """A stream record as Pinpoint wrote it: no event_id, nothing of Headwater's."""
    return {
        "event_type": "screen.view",
        "event_timestamp": 1_767_225_600_000 + number,
        "arrival_timestamp": 1_767_225_600_500 + number,
        "event_version": "3.0",
        "application": {"app_id": "shop", "version_name": "2.5", "sdk": {"name": "sdk", "version": "1.2"}},
        "client": {"client_id": f"endpoint-{number % 7}"},
        "device": {"locale": {"code": "en_US"}, "make": "apple", "platform": {"name": "ios", "version": "17.1"}},
        "session": {"session_id": f"s{number % 3}", "start_timestamp": 1_767_225_600_000},
        "attributes": {"screen": f"größe {number}"},
        "metrics": {"price": number + 0.5},
    } | fields


def write_lines(path: Path, records: list[Json]) -> Path:
    """NDJSON, as it is."""
    path.write_bytes(b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records))
    return path


def check(path: Path, tmp_path: Path, **options: Any) -> Outcome:
    """What --dry-run says of a file: no Kafka, no lake."""
    settings = load_settings(home=tmp_path / "home")
    (outcome,) = import_addresses(settings, [str(path)], ImportOptions(is_dry_run=True, **options))
    return outcome


def seal_rows(path: Path, mapping: Mapping | None = None, app_id: str | None = None) -> list[Sealed]:
    """The records that an import of the file would send, ids from the content 'hash'."""
    (file,) = Places(lambda: pytest.fail("no store is needed")).find_files(str(path))
    with open_content(file, detect_format(file, mapping is not None), mapping) as content:
        builder = RecordBuilder("hash", file.name, app_id, mapping, content.shape)
        return [builder.build(row) for batch in batches(content.rows) for row in batch]


def build_records(path: Path, mapping: Mapping | None = None, app_id: str | None = None) -> list[tuple[str, Json]]:
    """Their keys and values."""
    return [(sealed.key.decode(), json.loads(sealed.value)) for sealed in seal_rows(path, mapping, app_id)]


def sent(number: int, file_name: str, **fields: Any) -> Json:
    """What an import makes of `stream_record(number - 1)` in row `number`."""
    return stream_record(number - 1, **fields) | {"event_id": f"hash/{number}", "headwater": {"source": f"import:{file_name}"}}


def read_raw_events(settings: Settings) -> list[tuple[str, Json]]:
    """Key and value of everything in raw-events, partition by partition."""
    return read_topic(settings, RAW_EVENTS.name)


def read_topic(settings: Settings, name: str) -> list[tuple[str, Json]]:
    """Key and value of everything in a topic, partition by partition."""
    options = confluent_options(settings) | {"group.id": uuid.uuid4().hex, "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = confluent_kafka.Consumer(options)
    topic = settings.topic_prefix + name
    partitions = list(consumer.list_topics(topic).topics[topic].partitions)
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0) for partition in partitions])
    found, open_partitions = [], set(partitions)
    while open_partitions:
        for message in consumer.consume(1000, timeout=0.1):
            error, value, key = message.error(), message.value(), message.key()
            if error is not None:
                assert error.code() == confluent_kafka.KafkaError._PARTITION_EOF, error
                open_partitions.discard(message.partition())
            else:
                assert value is not None
                assert key is not None
                found.append((key.decode(), json.loads(value)))
    consumer.close()
    return found
