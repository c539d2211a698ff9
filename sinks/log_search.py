"""Which commit of a table landed an offset: its log, searched for where an application transaction passed a number."""

import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import botocore.exceptions

from sinks.delta_log import list_commits, parse_transactions, read_transactions
from sinks.store import Store

# How far the clocks of Kafka and of the store may be apart without more of the log being read.
SKEW = dt.timedelta(minutes=1)
_BLOCK = 64
_THREADS = 8
_Commit = tuple[int, dt.datetime, str]


@dataclass(frozen=True)
class PassedCommit:
    """The commit in which an application transaction passed a number. Not `is_exact`: at or before it, the log of before is gone."""

    version: int
    is_exact: bool
    committed_at: dt.datetime | None


def find_passing(store: Store, key: str, app_id: str, number: int, since: dt.datetime, newest: int) -> PassedCommit | None:
    """The first commit up to version `newest` that took application transaction `app_id` beyond `number`; None when none did.

    It was not made before `since`, so the log is read from there; what is older only as far as it takes to be sure. Raises
    UnavailableError and botocore's errors when the store does not answer.
    """
    commits = sorted(commit for commit in list_commits(store, key) if commit[0] <= newest)
    begin = next((place for place, (_, at, _) in enumerate(commits) if at >= since - SKEW), len(commits))
    passed = next((commit for commit, value in _values(store, app_id, commits[begin:]) if value > number), None)
    place = commits.index(passed) if passed else len(commits)
    for commit, value in _values(store, app_id, commits[:place][::-1]):
        if value <= number:
            return PassedCommit(passed[0], True, passed[1]) if passed else None
        passed = commit
    if passed is None:
        # All of the log that speaks of it is gone; the checkpoint remembers.
        has_passed = read_transactions(store, key, newest).get(app_id, -1) > number
        return PassedCommit(newest, False, None) if has_passed else None
    return PassedCommit(passed[0], commits[0][0] == 0, passed[1])


def _values(store: Store, app_id: str, commits: Sequence[_Commit]) -> Iterator[tuple[_Commit, int]]:
    """Those of the commits that carry the transaction, with its version, in the order given; read a block at a time."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(commits), _BLOCK):
            block = commits[start : start + _BLOCK]
            for commit, body in zip(block, pool.map(lambda one: _get(store, one[2]), block), strict=True):
                value = parse_transactions(body).get(app_id)
                if value is not None:
                    yield commit, value


def _get(store: Store, name: str) -> bytes:
    """A log file; nothing when maintenance took it away meanwhile."""
    try:
        return store.get(name)
    except botocore.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchKey":
            raise
        return b""
