"""What one poll becomes: a Batch, whatever strangers put into headers."""

import pytest
from faust.types import TP

from agents.batch import ORIGIN_HEADER
from pipeline.transport import Chunk, _as_record

ORIGIN = b"AAAAAAAAAAAAAAAAAAAAAA/3/41"


@pytest.mark.parametrize("value", [None, b"\xff", b"", b"raw-events/3/41", ORIGIN + b"/5", b"A" * 1_000_000], ids=range(6))
def test_a_header_that_is_no_origin_is_left_alone_and_harms_nobody(value: bytes | None) -> None:
    chunk = Chunk(0, 2)
    chunk.values, chunk.keys, chunk.offsets, chunk.appended_ms = [b"a", b"b"], [None, None], [0, 1], [1, 1]
    chunk.headers = {0: ((ORIGIN_HEADER, value),), 1: ((ORIGIN_HEADER, ORIGIN),)}
    assert _as_record(TP("raw-events", 0), [chunk], 1).value.origins == {1: ORIGIN.decode()}
