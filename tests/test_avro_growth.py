"""What Avro becomes as JSON is bounded for a whole flush, whatever a producer's schema says: a few bytes cannot take a worker's memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.avro import datums
from agents.avro.datums import GROWTH
from agents.avro.writer_schema import fingerprint
from agents.event_steps import Read, read_records
from agents.flush_report import FlushReport
from pipeline.config import load_settings
from pipeline.event_stream import build_event_rules
from tests.avro_records import as_object, varint
from tests.validate_inputs import EVENT, build_records, event

EMPTY = {"type": "record", "name": "Empty", "fields": [{"name": "n" * 80, "type": "null"}]}
APPLICATION = {"type": "record", "name": "App", "fields": [{"name": "app_id", "type": "string"}]}
LEAST = [("event_type", "string"), ("event_timestamp", "long"), ("application", APPLICATION), ("own", {"type": "array", "items": EMPTY})]
SCHEMA = {"type": "record", "name": "Click", "fields": [{"name": name, "type": declared} for name, declared in LEAST]}
HEAD = b"\xc3\x01" + fingerprint(json.dumps(SCHEMA)) + varint(1) + b"c" + varint(1767225600000) + varint(1) + b"s"
LARGE = 800_000
# A flush of values such as these, 16 GB of JSON, under a limit of the memory that the process may have beyond what it has: twice what the bound needs.
FLUSH = """
import resource, sys
from pathlib import Path
from agents.avro import datums
from tests.test_avro_growth import LARGE, growing, read

datums.POOL_BYTES = int(sys.argv[2])
folder = Path(sys.argv[1])
read([growing(1)], folder)
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 1_100_000_000, held + 1_100_000_000))
found = read([growing(LARGE)] * 20_000, folder).validated
print(found.parsed.num_rows, found.dead.num_rows)
"""


def growing(json_bytes: int) -> bytes:
    """A value of some thirty bytes that is an event of about so many bytes of JSON."""
    count = json_bytes // 90
    return HEAD + (varint(count) if count else b"") + varint(0)


def read(values: list[bytes], folder: Path) -> Read:
    (folder / "click.avsc").write_text(json.dumps(SCHEMA))
    return read_records(build_records(values), build_event_rules(load_settings(avro_schemas=folder)), FlushReport())


def flush(folder: Path, pool_bytes: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FLUSH, str(folder), str(pool_bytes)]
    # What is limited is address space, of which each thread that allocates, and Arrow's own allocator, would reserve more than they use.
    variables = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False, env=variables)


def test_flush_of_what_grows_without_bound_takes_bounded_memory(tmp_path: Path) -> None:
    done = flush(tmp_path, datums.POOL_BYTES)
    assert done.returncode == 0, done.stderr
    landed, dead = map(int, done.stdout.split())
    assert landed + dead == 20_000
    assert 70 < landed < 85


def test_control_without_the_bound_the_same_flush_takes_all_memory(tmp_path: Path) -> None:
    done = flush(tmp_path, 1 << 60)
    assert done.returncode != 0
    assert "MemoryError" in done.stderr


def test_what_grew_too_much_keeps_its_bytes_and_lands_in_a_flush_that_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datums, "POOL_BYTES", 1_000_000)
    large, small = growing(LARGE), growing(90)
    found = read([large, large, small], tmp_path)
    assert found.validated.parsed["_offset"].to_pylist() == [0, 2]
    (letter,) = found.restore(found.validated.dead).to_pylist()
    assert (letter["_offset"], letter["reason"], letter["value"]) == (1, "too_large", large)
    assert f"at most {GROWTH} times its own bytes" in letter["error"]
    assert "dead-letters replay" in letter["error"]
    assert read([letter["value"]], tmp_path).validated.parsed.num_rows == 1


def test_neighbours_that_grow_as_most_do_land_whatever_the_others_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datums, "POOL_BYTES", 0)
    least = {"event_type": "c", "event_timestamp": 1767225600000, "application": {"app_id": "s"}}
    found = read([growing(LARGE), as_object(EVENT), event(), as_object(least), growing(LARGE)], tmp_path).validated
    assert found.parsed["_offset"].to_pylist() == [1, 2, 3]
    assert found.dead["reason"].to_pylist() == ["too_large", "too_large"]


def test_a_share_is_taken_from_the_pool_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within, exactly at and beyond what is left, over values of more than one schema."""
    value = growing(9_000)
    beyond = len(read([value], tmp_path).redacted["value"][0].as_py()) - GROWTH * len(value)
    for pool, landed in [(beyond, 1), (2 * beyond - 1, 1), (2 * beyond, 2), (3 * beyond, 3)]:
        monkeypatch.setattr(datums, "POOL_BYTES", pool)
        found = read([value, as_object(EVENT), value, value], tmp_path).validated
        assert found.parsed.num_rows == landed + 1
    monkeypatch.setattr(datums, "POOL_BYTES", beyond - 1)
    assert read([value], tmp_path).validated.parsed.num_rows == 0
