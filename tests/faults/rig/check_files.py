"""The first checker: Delta's log as it is written, and Parquet files one by one, held against the ledger in Python.

Nothing of the pipeline, of Delta's libraries or of DuckDB is used: the log's JSON and its checkpoint are read by hand.
"""

import io
import json
import re
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

import botocore.session
import pyarrow.parquet as pq

from tests.faults.rig.findings import Findings, Place


def check_files(place: Place, ledger: Path) -> Findings:
    """Hold every row of both tables against the ledger's lines."""
    expected = _read_ledger(ledger)
    events, dead = (list(_read_rows(place, table)) for table in ("events", "dead_letters"))
    rows = Counter((topic_id, partition, offset) for topic_id, partition, offset, *_ in (*events, *dead))
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
        altered=sum(_is_altered(expected.get((partition, offset)), *found) for _, partition, offset, *found in (*events, *dead)),
        extra=sum((partition, offset) not in expected for _, partition, offset in rows),
        holes=sum(offset < reached.get(partition, 0) for partition, offset in lost),
    )


def _is_altered(expected: tuple[int, str | None] | None, payload_hash: int, event_id: str | None, is_event: bool) -> bool:
    if expected is None:
        return False
    return payload_hash != expected[0] or (is_event and bool(expected[1]) and event_id != expected[1])


def _read_ledger(ledger: Path) -> dict[tuple[int, int], tuple[int, str | None]]:
    """(partition, offset): (payload hash, event id)."""
    expected: dict[tuple[int, int], tuple[int, str | None]] = {}
    with ledger.open() as file:
        for line in file:
            entry = json.loads(line)
            where = (entry["partition"], entry["offset"])
            assert where not in expected, f"Kafka acknowledged two records at {where}"
            expected[where] = (entry["payload_hash"], entry["event_id"])
    return expected


def _read_rows(place: Place, table: str) -> Any:
    """(topic id, partition, offset, payload hash, event id, is an event) of every row of the newest version."""
    client = botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=place.endpoint,
        aws_access_key_id=place.access_key_id,
        aws_secret_access_key=place.secret_access_key,
    )
    columns = ["_topic_id", "_partition", "_offset", "_payload_hash", "event_id" if table == "events" else "topic"]
    for path in sorted(_live_files(client, place.bucket, f"lake/{table}")):
        body = client.get_object(Bucket=place.bucket, Key=f"lake/{table}/{urllib.parse.unquote(path)}")["Body"].read()
        for row in pq.ParquetFile(io.BytesIO(body)).read(columns).to_pylist():
            if row.get("topic", place.topic) == place.topic and place.topic_id in ("", row["_topic_id"]):
                yield row["_topic_id"], row["_partition"], row["_offset"], row["_payload_hash"], row.get("event_id"), table == "events"


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
