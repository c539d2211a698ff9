"""What a poll unpacks is bounded, and of a value that is too large nothing but size and hash is carried along. Without this guard all of it is."""

import sys
from unittest import mock

import pipeline.record_batches


def remove() -> None:
    mock.patch.object(pipeline.record_batches, "POLL_BYTES_MAX", sys.maxsize).start()
    mock.patch.object(pipeline.record_batches, "leave_out_large", lambda chunk, bytes_max: chunk).start()
