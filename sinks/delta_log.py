"""A Delta table's log read for its application transactions, all of them at once, and for the files that it has removed.

delta-rs looks up one transaction at a time, by replaying the log. The newest checkpoint is found by listing, not by
`_last_checkpoint`: a maintainer that was stopped half-way may write an old one there after the log behind it is gone.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import botocore.exceptions
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import UnavailableError
from sinks.store import Store

T = TypeVar("T")
_COMMIT = re.compile(r"/(\d{20})\.json$")
_CHECKPOINT = re.compile(r"/(\d{20})\.checkpoint\.parquet$")
_THREADS = 8
_ATTEMPTS = 3


@dataclass(frozen=True)
class LogFiles:
    """What a version of a table is read from: the newest checkpoint up to it, None when there is none, and the commits after
    that, in order. `object_count`: all objects of the log, of other versions too."""

    checkpoint: int | None
    commits: tuple[str, ...]
    object_count: int


def read_transactions(store: Store, key: str, version: int) -> dict[str, int]:
    """Every application transaction of the table under `key` as of `version`: id to version.

    Raises UnavailableError and botocore's errors when the store does not answer or lacks a part of the log.
    """

    def read(log: LogFiles) -> dict[str, int]:
        rows = _read_checkpoint(store, key, log, "txn")
        transactions = {row["appId"]: row["version"] for row in rows if row is not None and row["appId"] is not None}
        for body in _read_commits(store, log):
            transactions |= parse_transactions(body)
        return transactions

    return _read_settled(store, key, version, read)


def read_removed(store: Store, key: str, version: int) -> dict[str, int]:
    """Files that the log names as removed as of `version`: path to the time of their removal, ms since 1970.

    Those whose removal a checkpoint no longer names (delta.deletedFileRetentionDuration) are not among them. Errors as above.
    """

    def read(log: LogFiles) -> dict[str, int]:
        rows = _read_checkpoint(store, key, log, "remove")
        removed = {row["path"]: row["deletionTimestamp"] for row in rows if row is not None and row["path"] is not None}
        for body in _read_commits(store, log):
            removed |= {action["path"]: action["deletionTimestamp"] for action in _actions(body, "remove")}
        return removed

    return _read_settled(store, key, version, read)


def list_log(store: Store, key: str, version: int) -> LogFiles:
    """The files of the log that `version` is read from.

    Raises UnavailableError when a commit between them is not there.
    """
    checkpoints, commits, object_count = [], {}, 0
    for found in store.list_objects(f"{key}/_delta_log/"):
        object_count += 1
        if match := _COMMIT.search(found.key):
            commits[int(match.group(1))] = found.key
        elif match := _CHECKPOINT.search(found.key):
            checkpoints.append(int(match.group(1)))
    checkpoint = max((number for number in checkpoints if number <= version), default=None)
    wanted = range(0 if checkpoint is None else checkpoint + 1, version + 1)
    missing = [number for number in wanted if number not in commits]
    if missing:
        raise UnavailableError(
            f"The log of table {store.uri(key)} lacks commit {missing[0]}, which version {version} is read from; it was deleted by "
            "something else than Headwater's own cleaning. Restore the object (versions of the bucket, a backup), or read an older checkpoint's version."
        )
    return LogFiles(checkpoint, tuple(commits[number] for number in wanted), object_count)


def parse_transactions(commit: bytes) -> dict[str, int]:
    """Application transactions of one commit's log file."""
    return {action["appId"]: action["version"] for action in _actions(commit, "txn")}


def list_commits(store: Store, key: str) -> Iterator[tuple[int, dt.datetime, str]]:
    """Version, when it was written, and name of each log file."""
    for found in store.list_objects(f"{key}/_delta_log/"):
        if match := _COMMIT.search(found.key):
            yield int(match.group(1)), dt.datetime.fromtimestamp(found.modified_at, dt.UTC), found.key


def _actions(commit: bytes, kind: str) -> list[dict[str, Any]]:
    actions = (json.loads(line) for line in commit.splitlines() if b'"%s"' % kind.encode() in line)
    return [action[kind] for action in actions if kind in action]


def _read_settled(store: Store, key: str, version: int, read: Callable[[LogFiles], T]) -> T:
    """Maintenance may clean the log between the look and the reading: then look again."""
    for attempt in range(_ATTEMPTS):
        try:
            return read(list_log(store, key, version))
        except (UnavailableError, botocore.exceptions.ClientError):
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("every attempt returns or raises")


def _read_commits(store: Store, log: LogFiles) -> list[bytes]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(store.get, log.commits))


def _read_checkpoint(store: Store, key: str, log: LogFiles, column: str) -> list[Any]:
    if log.checkpoint is None:
        return []
    body = store.get(f"{key}/_delta_log/{log.checkpoint:020}.checkpoint.parquet")
    rows: list[Any] = pq.read_table(pa.BufferReader(body), columns=[column])[column].to_pylist()
    return rows
