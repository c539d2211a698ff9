"""By hand, as fast as Python allows: confluent-kafka in batches, orjson, pyarrow. At least once, without dedup, checks or enrichment."""

from typing import Any

import confluent_kafka
import orjson

from tests.bench.peers.columns import ALL, FEW, all_columns, build_table, few_columns
from tests.bench.peers.job import FLUSH_ROWS, Landing, read_job


def main() -> None:
    """Read in batches of thousands; commit offsets once a file is written."""
    job = read_job()
    landing = Landing(job)
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": job.servers,
            "group.id": job.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.min.bytes": 100_000,
            "queued.max.messages.kbytes": 65_536,
        }
    )
    consumer.subscribe([job.topic])
    rows: list[tuple[Any, ...]] = []
    landing.start()
    while landing.consumed < job.count:
        messages = consumer.consume(min(5000, job.count - landing.consumed), 1.0)
        landing.consumed += len(messages)
        if job.columns == "few":
            rows += [few_columns(orjson.loads(message.value())) for message in messages]
        else:
            rows += [
                all_columns(orjson.loads(message.value()), (message.partition(), message.offset(), message.timestamp()[1]), orjson.loads)
                for message in messages
            ]
        if rows and (len(rows) >= FLUSH_ROWS or landing.consumed >= job.count):
            landing.write(build_table(rows, FEW if job.columns == "few" else ALL))
            consumer.commit(asynchronous=False)
            rows = []
    consumer.close()
    landing.finish()


if __name__ == "__main__":
    main()
