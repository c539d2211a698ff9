"""The first checker: Delta's log as it is written, and Parquet files one by one, held against the ledger in Python.

Nothing of the pipeline, of Delta's libraries or of DuckDB is used: the log's JSON and its checkpoint are read by hand.
"""

import io
import json
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session
import pyarrow.parquet as pq

from tests.faults.rig.findings import Findings, Place

# Of these dead letters there are no bytes, or they are not kept.
_WITHOUT_VALUE = (None, "empty", "too_large", "duplicate")


class _Record(NamedTuple):
    payload_hash: int
    event_id: str | None
    mark: str | None
    is_certain: bool


class _Row(NamedTuple):
    topic_id: str
    partition: int
    offset: int
    payload_hash: int
    event_id: str | None
    mark: str | None
    reason: str | None
    """Of a dead letter; null of an event."""
    has_value: bool


def check_files(place: Place, ledger: Path) -> Findings:
    """Hold every row of both tables against the ledger's lines."""
    expected = _read_ledger(ledger)
    events, dead = (list(_read_rows(place, table)) for table in ("events", "dead_letters"))
    rows = Counter(row[:3] for row in (*events, *dead))
    known = {(partition, offset) for _, partition, offset in rows}
    lost = [place for place in expected if place not in known]
    reached: dict[int, int] = {}
    for partition, offset in known:
        reached[partition] = max(offset, reached.get(partition, offset))
    return Findings(
        records=len(expected),
        events=len(events),
        dead=len(dead),
        lost=len(lost),
        duplicate=sum(count - 1 for count in rows.values()),
        altered=sum(_is_altered(expected.get((row.partition, row.offset)), row) for row in (*events, *dead)),
        misplaced=_count_misplaced(expected, (*events, *dead)),
        extra=sum((partition, offset) not in expected for _, partition, offset in rows),
        holes=sum(offset < reached.get(partition, 0) for partition, offset in lost),
    )


def _is_altered(record: _Record | None, row: _Row) -> bool:
    if record is None:
        return False
    is_another = row.reason is None and bool(record.event_id) and (row.event_id, row.mark) != (record.event_id, record.mark)
    is_bare = record.is_certain and not row.has_value and row.reason not in _WITHOUT_VALUE
    return row.payload_hash != record.payload_hash or is_another or is_bare


def _count_misplaced(expected: dict[tuple[int, int], _Record], rows: Iterable[_Row]) -> int:
    """Records of certain outcome are walked through in the order of Kafka: an id's first is an event, each further one a duplicate of it."""
    wanted: dict[tuple[int, int], str | None] = {}
    seen = set[tuple[int, str]]()
    for (partition, offset), record in sorted(expected.items()):
        if not record.is_certain:
            continue
        if not record.event_id:
            wanted[partition, offset] = "any"
        elif (partition, record.event_id) in seen:
            wanted[partition, offset] = "duplicate"
        else:
            seen.add((partition, record.event_id))
            wanted[partition, offset] = None
    return sum(
        row.reason is None if reason == "any" else row.reason != reason
        for row in rows
        for reason in [wanted.get((row.partition, row.offset), row.reason)]
    )


def _read_ledger(ledger: Path) -> dict[tuple[int, int], _Record]:
    """By (partition, offset)."""
    expected: dict[tuple[int, int], _Record] = {}
    with ledger.open() as file:
        for line in file:
            entry = json.loads(line)
            where = (entry["partition"], entry["offset"])
            assert where not in expected, f"Kafka acknowledged two records at {where}"
            expected[where] = _Record(entry["payload_hash"], entry["event_id"], entry["mark"], entry["is_certain"])
    return expected


def _read_rows(place: Place, table: str) -> Iterator[_Row]:
    """Every row of the newest version."""
    client = botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=place.endpoint,
        aws_access_key_id=place.access_key_id,
        aws_secret_access_key=place.secret_access_key,
    )
    columns = [
        "_topic_id",
        "_partition",
        "_offset",
        "_payload_hash",
        *(["event_id", "attributes"] if table == "events" else ["topic", "reason", "value"]),
    ]
    for path in sorted(_live_files(client, place.bucket, f"lake/{table}")):
        body = client.get_object(Bucket=place.bucket, Key=f"lake/{table}/{urllib.parse.unquote(path)}")["Body"].read()
        for row in pq.ParquetFile(io.BytesIO(body)).read(columns).to_pylist():
            if row.get("topic", place.topic) == place.topic and place.topic_id in ("", row["_topic_id"]):
                mark = dict(row.get("attributes") or ()).get("mark")
                place_of_row = (row["_topic_id"], row["_partition"], row["_offset"], row["_payload_hash"])
                yield _Row(*place_of_row, row.get("event_id"), mark, row.get("reason"), row.get("value") is not None)


def _live_files(client: Any, bucket: str, table: str) -> set[str]:
    """Paths that the log adds and does not remove: the newest checkpoint, then each commit after it."""
    names: list[str] = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{table}/_delta_log/"):
        names += [entry["Key"] for entry in page.get("Contents", [])]
    checkpoints = sorted(name for name in names if re.search(r"/\d{20}\.checkpoint\.parquet$", name))
    live: set[str] = set()
    after = -1
    if checkpoints:
        after = int(checkpoints[-1].rsplit("/", 1)[1][:20])
        body = client.get_object(Bucket=bucket, Key=checkpoints[-1])["Body"].read()
        adds = pq.ParquetFile(io.BytesIO(body)).read(["add.path"])["add"].to_pylist()
        live = {add["path"] for add in adds if add is not None and add["path"] is not None}
    for name in sorted(name for name in names if re.search(r"/\d{20}\.json$", name)):
        if int(name.rsplit("/", 1)[1][:20]) <= after:
            continue
        for line in client.get_object(Bucket=bucket, Key=name)["Body"].read().splitlines():
            action = json.loads(line)
            if "add" in action:
                live.add(action["add"]["path"])
            if "remove" in action:
                live.discard(action["remove"]["path"])
    return live
