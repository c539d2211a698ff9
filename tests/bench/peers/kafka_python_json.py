"""By hand with pure Python: kafka-python, json, pyarrow; seven columns."""

import json
from typing import Any

import kafka

from tests.bench.peers.columns import FEW, build_table, few_columns
from tests.bench.peers.job import FLUSH_ROWS, Landing, read_job


def main() -> None:
    """Poll thousands of records at a time; commit offsets once a file is written."""
    job = read_job()
    landing = Landing(job)
    consumer = kafka.KafkaConsumer(
        job.topic,
        bootstrap_servers=job.servers.split(","),
        group_id=job.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=5000,
        fetch_max_bytes=16_000_000,
        max_partition_fetch_bytes=4_000_000,
    )
    rows: list[tuple[Any, ...]] = []
    landing.start()
    while landing.consumed < job.count:
        polled = consumer.poll(timeout_ms=1000, max_records=min(5000, job.count - landing.consumed))
        for records in polled.values():
            landing.consumed += len(records)
            rows += [few_columns(json.loads(record.value)) for record in records]
        if rows and (len(rows) >= FLUSH_ROWS or landing.consumed >= job.count):
            landing.write(build_table(rows, FEW))
            consumer.commit()
            rows = []
    consumer.close()
    landing.finish()


if __name__ == "__main__":
    main()
