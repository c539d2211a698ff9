"""A Delta table's log read for its application transactions, all of them at once: delta-rs looks up one at a time, by replaying the log."""

import datetime as dt
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pyarrow.parquet as pq

from sinks.store import Store

_COMMIT = re.compile(r"/(\d{20})\.json$")
_THREADS = 8


def read_transactions(store: Store, key: str, version: int) -> dict[str, int]:
    """Every application transaction of the table under `key` as of `version`: id to version.

    Raises UnavailableError and botocore's errors when the store does not answer.
    """
    checkpoint = _last_checkpoint(store, key, version)
    transactions = _checkpoint_transactions(store, key, checkpoint) if checkpoint is not None else {}
    after = -1 if checkpoint is None else checkpoint
    names = [name for number, name in _commits(store, key) if after < number <= version]
    with ThreadPoolExecutor(_THREADS) as pool:
        for body in pool.map(store.get, names):
            transactions |= parse_transactions(body)
    return transactions


def parse_transactions(commit: bytes) -> dict[str, int]:
    """Application transactions of one commit's log file."""
    actions = (json.loads(line) for line in commit.splitlines() if b'"txn"' in line)
    return {action["txn"]["appId"]: action["txn"]["version"] for action in actions if "txn" in action}


def list_commits(store: Store, key: str) -> Iterator[tuple[int, dt.datetime, str]]:
    """Version, when it was written, and name of each log file."""
    pages = store.client().get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=f"{key}/_delta_log/")
    for page in pages:
        for entry in page.get("Contents", []):
            match = _COMMIT.search(entry["Key"])
            if match:
                yield int(match.group(1)), entry["LastModified"], entry["Key"]


def _last_checkpoint(store: Store, key: str, version: int) -> int | None:
    try:
        found = json.loads(store.get(f"{key}/_delta_log/_last_checkpoint"))
    except botocore.exceptions.ClientError:
        return None
    number = int(found["version"])
    return number if number <= version else None


def _checkpoint_transactions(store: Store, key: str, version: int) -> dict[str, int]:
    body = store.get(f"{key}/_delta_log/{version:020}.checkpoint.parquet")
    rows = pq.read_table(io.BytesIO(body), columns=["txn"])["txn"].to_pylist()
    return {row["appId"]: row["version"] for row in rows if row is not None and row["appId"] is not None}


def _commits(store: Store, key: str) -> Iterator[tuple[int, str]]:
    return ((version, name) for version, _, name in list_commits(store, key))
