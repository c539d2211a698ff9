"""A worker for whose larger flushes memory does not suffice: `python -m tests.faults.hosts.short_memory`. Those of more than so many bytes of records
raise MemoryError, again and again, as Arrow does. Environment as in rig/fault_worker.py."""

from collections.abc import Sequence
from unittest import mock

import pyarrow as pa

import agents.ingest
from agents.batch import Batch, build_records
from tests.faults.rig import fault_worker

BYTES_MAX = 300_000


def _build_few(batches: Sequence[Batch], topic_ids: Sequence[str]) -> pa.Table:
    if sum(batch.held_bytes for batch in batches) > BYTES_MAX:
        raise MemoryError("malloc of size 1 failed")
    return build_records(batches, topic_ids)


def short_of_memory(worker: fault_worker.FaultWorker) -> fault_worker.FaultWorker:
    """That worker, on such a machine."""
    worker.module = "tests.faults.hosts.short_memory"
    return worker


def main() -> None:
    mock.patch.object(agents.ingest, "build_records", _build_few).start()
    fault_worker.main()


if __name__ == "__main__":
    main()
