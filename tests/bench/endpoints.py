"""Endpoints merged and asked for: states of many endpoints, one percent of them updated, then looked up one by one while nothing else runs."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.config import Settings
from pipeline.endpoints.follow import open_table
from pipeline.endpoints.lookup import find_endpoint, find_user_endpoints
from pipeline.endpoints.merge import EndpointStates
from tests.bench.rows import Budget, Row, Sizes

_ROUNDS = 5
_LOOKUPS = 500
# Two endpoints a user; an address each; attributes as a shop has them.
_STATES = """
    select
        'endpoint' as kind, 'shop' as app_id, md5(i::varchar) as endpoint_key, md5(i::varchar) as endpoint_id, 'EMAIL' as channel_type,
        'person' || i || '@example.org' as address, 'ACTIVE' as endpoint_status, 'en_GB' as locale, 'apple' as make, 'ios' as platform,
        'London' as city, 'GB' as country, 'user-' || (i // 2) as user_id,
        map {{'plan': ['gold'], 'interests': ['tea', 'books'], 'store': ['s' || i % 100]}} as attributes, map {{'visits': i::double}} as metrics,
        null::map(varchar, varchar[]) as user_attributes, null::bigint as _offset, now() as first_appended_at, now() as _appended_at
    from range({count}) as numbers(i)
    union all by name
    select 'user' as kind, 'shop' as app_id, 'user-' || i as user_id, map {{'name': ['n' || i]}} as user_attributes
    from range({count} // 2) as numbers(i)
"""
_UPDATES = """
    select
        'update' as operation, 'shop' as app_id, md5((i * 97 % {count})::varchar) as endpoint_id,
        case when i % 2 = 0 then 'new' || i || '@example.org' end as address,
        map {{'plan': ['silver'], 'seen': [i::varchar]}} as attributes, map {{'visits': 1.0::double}} as metrics,
        map {{'name': ['m' || i]}} as user_attributes, 'topic' as _topic_id, 0 as _partition, i as _offset, now() as _appended_at
    from range({start}, {stop}) as numbers(i)
"""


def measure_endpoints(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """How long states of that many endpoints take to load, to be brought up to date after one percent of updates, and to be asked."""
    count = sizes.endpoints
    source = duckdb.connect()
    source.execute("set TimeZone = 'UTC'")
    with TemporaryDirectory(dir=_spill(ground)) as folder:
        # A file, with the memory and the threads that the API gives it.
        con = open_table(Path(folder), Settings.model_fields["api_endpoints_memory_bytes_max"].default)
        states = EndpointStates(con)
        # Made before the clock runs: what is measured is Headwater's.
        rows = source.execute(_STATES.format(count=count)).to_arrow_table()
        began = time.perf_counter()
        states.load(rows.to_reader(65_536))
        yield Row("endpoints", f"load {count:,} endpoints", events_per_sec=rows.num_rows / (time.perf_counter() - began))
        del rows
        taken = list(_merge(states, source, count, count // 100))
        note = f"1 % of {count:,}, of which half move to another address; median of {_ROUNDS}"
        yield Row("endpoints", "merge 1 % of updates", value=float(np.median(taken)), unit="s", budget=Budget("value", 2.0), note=note)
        small = list(_merge(states, source, count, 10))
        yield Row("endpoints", "merge 10 updates", value=float(np.median(small)) * 1000, unit="ms")
        yield from _look_up(con.cursor(), source, count)
        con.close()
    source.close()


def _spill(ground: Settings) -> Path:
    ground.home.mkdir(parents=True, exist_ok=True)
    return ground.home


def _merge(states: EndpointStates, source: duckdb.DuckDBPyConnection, count: int, update_count: int) -> Iterator[float]:
    """Seconds of each round."""
    for _ in range(_ROUNDS):
        start = max(states.covered().values(), default=0)
        updates: pa.Table = source.execute(_UPDATES.format(count=count, start=start, stop=start + update_count)).to_arrow_table()
        began = time.perf_counter()
        merged = states.merge(updates)
        yield time.perf_counter() - began
        assert merged.endpoints == update_count, "each update is of an endpoint of its own"


def _look_up(cursor: duckdb.DuckDBPyConnection, source: duckdb.DuckDBPyConnection, count: int) -> Iterator[Row]:
    chance = np.random.default_rng(1)
    numbers = chance.integers(0, count, _LOOKUPS).tolist()
    ids = [source.execute("select md5(?::varchar)", [number]).fetchall()[0][0] for number in numbers]
    taken = {"by id": [], "by user": []}  # type: dict[str, list[float]]
    for number, endpoint_id in zip(numbers, ids, strict=True):
        began = time.perf_counter()
        found = find_endpoint(cursor, "shop", endpoint_id)
        between = time.perf_counter()
        endpoints = find_user_endpoints(cursor, "shop", f"user-{number // 2}")
        taken["by user"].append(time.perf_counter() - between)
        taken["by id"].append(between - began)
        assert found is not None, "every one that is asked for is there"
        assert len(endpoints) == 2, "every user has two"
    for name, secs in taken.items():
        value = float(np.percentile(secs, 99)) * 1000
        note = f"{_LOOKUPS} lookups among {count:,}, one after another"
        yield Row("endpoints", f"look up {name}, p99", value=value, unit="ms", budget=Budget("value", 50.0), note=note)
