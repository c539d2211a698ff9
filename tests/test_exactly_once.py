"""kill -9 under load: nothing lost, nothing twice; and the same schedule without the guard, which must fail.

Two checkers that share no code: `headwater audit`, and the producer's own ledger of what Kafka acknowledged.
"""

import json
import random
import threading
import uuid
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from pipeline.audit import audit_lake, summarize
from pipeline.config import Settings
from pipeline.producer import Producer, record_key
from pipeline.stores import build_store
from pipeline.topology import LANDING_TABLES, RAW_EVENTS, topic_name
from tests.worker_process import WorkerProcess, running, wait_until

SEED = 20261124


class Load:
    """Sends records at a steady rate from a thread, some resent and some malformed, and keeps what Kafka acknowledged."""

    topic = RAW_EVENTS

    def __init__(self, settings: Settings, seed: int, per_sec: int = 3000) -> None:
        self.acknowledged: Counter[tuple[int, int, int]] = Counter()
        self._chance = random.Random(seed)
        self._per_sec = per_sec
        self._producer = Producer(settings, topic_name(settings, self.topic), self._note)
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()
        self._producer.flush()

    @property
    def count(self) -> int:
        return sum(self.acknowledged.values())

    def _note(self, payload_hash: int, partition: int, offset: int) -> None:
        self.acknowledged[(partition, offset, payload_hash)] += 1

    def _run(self) -> None:
        number, before = 0, (b"", b"")
        while not self._is_done.wait(0.1):
            for _ in range(self._per_sec // 10):
                number += 1
                key, value = (
                    before if number % 20 == 0 else self._garbage() if number % 20 == 1 else self.build_record(number, self._chance)
                )
                before = (key, value)
                digest = xxhash.xxh3_64(value).intdigest()
                self._producer.send(key, value, tag=digest - (1 << 64) if digest >= 1 << 63 else digest)
            self._producer.poll()

    def build_record(self, number: int, chance: random.Random) -> tuple[bytes, bytes]:
        """Key and value of a record with an id of its own."""
        event_id = str(uuid.UUID(int=chance.getrandbits(128)))
        endpoint_id = f"endpoint-{chance.randrange(500)}"
        record = {
            "event_id": event_id,
            "event_type": "screen.view",
            "event_timestamp": 1764000000000 + number,
            "application": {"app_id": "shop"},
            "client": {"client_id": endpoint_id},
            "attributes": {"screen": "home"},
            "metrics": {"height": 1.5},
        }
        return record_key("shop", endpoint_id, event_id), json.dumps(record).encode()

    def _garbage(self) -> tuple[bytes, bytes]:
        return b"shop/garbage", b"garbage-%d" % self._chance.getrandbits(64)


def rows_in_lake(settings: Settings) -> Counter[tuple[int, int, int]]:
    """(partition, offset, payload hash) of every row of the tables that streams land in, read from the Parquet files that the log names."""
    store, found = build_store(settings), Counter[tuple[int, int, int]]()
    for table in (*LANDING_TABLES, "dead_letters"):
        keys = store.client().get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=f"lake/{table}/_delta_log/")
        for page in keys:
            for entry in page.get("Contents", []):
                for line in store.get(entry["Key"]).splitlines():
                    action = json.loads(line).get("add")
                    if action:
                        body = store.get(f"lake/{table}/{action['path']}".replace("%3D", "="))
                        rows = pq.read_table(pa.BufferReader(body), columns=["_partition", "_offset", "_payload_hash"])
                        found.update(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    return found


def run_under_kills(
    settings: Settings, folder: Path, kills: int, seed: int, is_guarded: bool = True, build_load: type[Load] = Load
) -> Load:
    """Two workers under load; half of the kills come from outside at random moments, half by their own hand at a step of landing."""
    rig = {"RIG_SEED": str(seed)} | ({} if is_guarded else {"RIG_UNGUARDED": "1"})
    workers = [
        WorkerProcess(settings, folder, number, "tests.rigged_worker", RIG_FILE=str(folder / f"starts-{number}"), **rig)
        for number in range(2)
    ]
    chance, killed, outside = random.Random(seed), 0, 0
    with running(*workers), build_load(settings, seed) as load:
        while killed < kills:
            is_from_outside = outside < kills // 2
            if is_from_outside and not threading.Event().wait(chance.uniform(1, 4)):
                victim = chance.choice(workers)
                if victim.is_running:
                    victim.kill()
                    outside += 1
            for worker in workers:
                if not worker.is_running:
                    killed += 1
                    worker.start()
            threading.Event().wait(0.2)
    finisher = [
        WorkerProcess(settings, folder, number, **{key: value for key, value in rig.items() if key != "RIG_SEED"}) for number in range(2)
    ]
    if not is_guarded:
        finisher = [WorkerProcess(settings, folder, number, "tests.rigged_worker", RIG_UNGUARDED="1") for number in range(2)]
    with running(*finisher):
        wait_until(lambda: len(rows_in_lake(settings)) >= load.count, f"all {load.count} records in the lake", secs_max=180)
        assert [worker.stop() for worker in finisher] == [0, 0]
    return load


@pytest.mark.parametrize("kills", [4, pytest.param(30, marks=pytest.mark.full)])
@pytest.mark.timeout(900)
def test_workers_killed_under_load_lose_nothing_and_double_nothing(
    settings: Settings, topics: list[str], tmp_path: Path, kills: int
) -> None:
    load = run_under_kills(settings, tmp_path, kills, SEED)
    summary = summarize(audit_lake(settings))
    assert summary["is_clean"], summary
    assert summary["consumed"] == load.count
    assert min(summary["landed"], summary["dead"], summary["duplicate"]) > 0
    assert rows_in_lake(settings) == load.acknowledged


@pytest.mark.timeout(900)
def test_without_the_offset_check_the_same_kills_double_records(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    load = run_under_kills(settings, tmp_path, 4, SEED, is_guarded=False)
    assert rows_in_lake(settings) != load.acknowledged
    assert sum(rows_in_lake(settings).values()) > load.count
