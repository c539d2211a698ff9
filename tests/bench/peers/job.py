"""What all peers have in common: the job, the file system, the clock, and the check that every consumed record is a row."""

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

# As Headwater's flushes: about 16 MB of JSON.
FLUSH_ROWS = 20_000


@dataclass(frozen=True)
class Job:
    """`count` records of `topic` are to be read under `group`, and written below `bucket`/`folder`; `columns` is 'few' or 'all'."""

    servers: str
    topic: str
    group: str
    count: int
    s3_endpoint: str
    access_key_id: str
    secret_access_key: str
    bucket: str
    folder: str
    columns: str = "few"


def read_job() -> Job:
    """The job of the command line."""
    return Job(**json.loads(sys.argv[1]))


def open_files(job: Job) -> pyarrow.fs.S3FileSystem:
    """The S3 store."""
    scheme, _, address = job.s3_endpoint.partition("://")
    return pyarrow.fs.S3FileSystem(
        access_key=job.access_key_id,
        secret_key=job.secret_access_key,
        endpoint_override=address,
        scheme=scheme,
        region="us-east-1",
    )


class Landing:
    """Files of a job, written one after the other; counts what was consumed and what it cost since `start`."""

    def __init__(self, job: Job) -> None:
        self.job, self.consumed = job, 0
        self._files = open_files(job)
        self._number = 0
        self._began: tuple[float, float] | None = None

    def start(self) -> None:
        """Begin to count CPU and time, once."""
        self._began = self._began or (time.process_time(), time.perf_counter())

    def write(self, table: pa.Table) -> None:
        """One Parquet file, zstd."""
        path = f"{self.job.bucket}/{self.job.folder}/part-{self._number:05}.parquet"
        pq.write_table(table, path, filesystem=self._files, compression="zstd", compression_level=1)
        self._number += 1

    def finish(self) -> None:
        """Print what it cost, after the check that all files together have as many rows as were consumed."""
        assert self._began is not None
        cpu_secs, wall_secs = time.process_time() - self._began[0], time.perf_counter() - self._began[1]
        rows = count_rows(self.job)
        if rows != self.consumed:
            sys.exit(f"{self.consumed} records were consumed, and the files hold {rows} rows; expected as many.")
        print(json.dumps({"consumed": self.consumed, "rows": rows, "cpu_secs": cpu_secs, "wall_secs": wall_secs}), flush=True)


def count_rows(job: Job) -> int:
    """Rows of all Parquet files of the job, as the files themselves say."""
    files = open_files(job)
    found = files.get_file_info(pyarrow.fs.FileSelector(f"{job.bucket}/{job.folder}", recursive=True))
    return sum(pq.read_metadata(files.open_input_file(info.path)).num_rows for info in found if info.path.endswith(".parquet"))


def any_dict(value: Any) -> dict[str, Any]:
    """The object at an optional place of a document."""
    return value or {}
