"""Quix Streams with its own file sink: JSON documents as they are, Parquet to S3; columns are the documents' members."""

from typing import Any

from quixstreams import Application
from quixstreams.sinks.community.file.formats import ParquetFormat
from quixstreams.sinks.community.file.s3 import S3FileSink

from tests.bench.peers.columns import FEW, few_columns
from tests.bench.peers.job import FLUSH_ROWS, Landing, read_job

NAMES = FEW.names


def main() -> None:
    """Run the application until it has put so many records into files."""
    job = read_job()
    landing = Landing(job)
    app = Application(
        broker_address=job.servers,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        commit_every=FLUSH_ROWS,
        auto_create_topics=False,
        use_changelog_topics=False,
        loglevel="WARNING",
    )
    sink = S3FileSink(
        bucket=job.bucket,
        aws_access_key_id=job.access_key_id,
        aws_secret_access_key=job.secret_access_key,
        region_name="us-east-1",
        endpoint_url=job.s3_endpoint,
        directory=job.folder,
        format=ParquetFormat(compression="zstd"),
    )

    def pick(document: dict[str, Any]) -> dict[str, Any]:
        landing.start()
        landing.consumed += 1
        return dict(zip(NAMES, few_columns(document), strict=True))

    frame = app.dataframe(app.topic(job.topic, value_deserializer="json")).apply(pick)
    frame.sink(sink)
    app.run(frame, count=job.count, timeout=30.0, collect=False)
    landing.finish()


if __name__ == "__main__":
    main()
