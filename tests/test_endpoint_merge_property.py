"""Merging over sequences of updates that nobody thought of: one batch after another, all at once, snapshot and tail, and a model without SQL agree."""

import random
from datetime import timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.endpoints.lookup import find_endpoint, find_endpoints_at, find_user_endpoints
from pipeline.endpoints.merge import EndpointStates
from tests.endpoint_rows import Model, as_updates, merge_batches, merged_rows, shown, update
from tests.lake_rows import NOON

Updates = list[dict[str, Any]]

# Few of each, so that they meet.
APPS = st.sampled_from(["shop", "blog"])
ENDPOINTS = st.sampled_from(["e1", "E1", "e2", "e3", "E3"])
USERS = st.sampled_from(["u1", "U1", "u2"])
NAMES = st.sampled_from(["color", "colour", "co_or", "size", "a*", "x%"])
PATTERNS = st.sampled_from(["color", "co*", "colo?r", "co_or", "*", "?", "a*", "x%", "s?ze"])
VALUES = st.lists(st.sampled_from(["red", "blue", ""]), max_size=2)
MOMENTS = st.integers(0, 6).map(lambda secs: NOON + timedelta(seconds=secs))


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


SAID = st.fixed_dictionaries(
    {
        "operation": st.just("update"),
        "app_id": APPS,
        "endpoint_id": ENDPOINTS,
        "channel_type": maybe(st.sampled_from(["EMAIL", "SMS"])),
        "address": maybe(st.sampled_from(["a1", "a2"])),
        "endpoint_status": maybe(st.sampled_from(["ACTIVE", "INACTIVE"])),
        "opt_out": maybe(st.sampled_from(["ALL", "NONE"])),
        "effective_date": maybe(MOMENTS),
        "creation_date": maybe(MOMENTS),
        "request_id": maybe(st.sampled_from(["r1", "r2"])),
        "cohort_id": maybe(st.integers(0, 99)),
        "city": maybe(st.sampled_from(["Rome", ""])),
        "latitude": maybe(st.sampled_from([0.0, 41.9])),
        "user_id": maybe(USERS),
        "extra": maybe(st.sampled_from(["{}", '{"x":1}'])),
        "attributes": st.dictionaries(NAMES, VALUES, max_size=3),
        "metrics": st.dictionaries(NAMES, st.sampled_from([0.0, 1.5]), max_size=2),
        "user_attributes": st.dictionaries(NAMES, VALUES, max_size=2),
    }
)
DELETED = st.fixed_dictionaries({"operation": st.just("delete"), "app_id": APPS, "endpoint_id": ENDPOINTS, "user_id": maybe(USERS)})
FORGOTTEN = st.fixed_dictionaries({"operation": st.just("delete_user"), "app_id": APPS, "endpoint_id": st.none(), "user_id": USERS})
REMOVED = st.fixed_dictionaries(
    {
        "operation": st.just("remove_attributes"),
        "app_id": APPS,
        "endpoint_id": st.none(),
        "removed_type": st.sampled_from(["endpoint-custom-attributes", "endpoint-metric-attributes", "endpoint-user-attributes"]),
        "removed_names": st.lists(PATTERNS, max_size=2),
    }
)
# An update is likelier than the others; several partitions, and moments that fall together.
ROWS = st.tuples(st.one_of(SAID, SAID, SAID, SAID, DELETED, FORGOTTEN, REMOVED), st.integers(0, 2), st.integers(0, 1))
HARD = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def place(drawn: list[tuple[dict[str, Any], int, int]]) -> Updates:
    """The updates in the order of acceptance: each partition with offsets of its own, the time standing still now and then."""
    offsets, secs, placed = [0, 0, 0], 0, []
    for row, partition, step in drawn:
        secs += step
        placed.append(update(**row, _partition=partition, _offset=offsets[partition], _appended_at=NOON + timedelta(seconds=secs)))
        offsets[partition] += 1
    return sorted(placed, key=lambda row: (row["_appended_at"], row["_partition"], row["_offset"]))


@HARD
@given(st.lists(ROWS, max_size=14).map(place), st.lists(st.integers(0, 14), max_size=4))
def test_batches_all_at_once_snapshot_and_tail_and_the_model_say_the_same(updates: Updates, cuts: list[int]) -> None:
    expected = Model().fold(updates).rows()
    assert shown(None, updates) == expected
    assert merged_rows(merge_batches([updates])) == expected
    ends = sorted({min(cut, len(updates)) for cut in cuts})
    states = merge_batches([])
    for start, end in zip([0, *ends], [*ends, len(updates)], strict=True):
        assert shown(states.rows().read_all(), updates) == expected
        states.merge(as_updates(updates[start:end]))
    assert merged_rows(states) == expected
    assert shown(states.rows().read_all(), updates) == expected


@HARD
@given(st.lists(ROWS, max_size=14).map(place))
def test_lookups_show_what_core_endpoints_shows(updates: Updates) -> None:
    expected = Model().fold(updates).rows()
    con = duckdb.connect(config={"threads": 1})
    states = EndpointStates(con)
    states.merge(as_updates(updates))
    cursor = con.cursor()
    for app_id in ("shop", "blog"):
        for endpoint_id in ("e1", "E2", "e3", "e4"):
            found = [row for row in expected if (row["app_id"], row["endpoint_id"].lower()) == (app_id, endpoint_id.lower())]
            assert find_endpoint(cursor, app_id, endpoint_id) == (found[0] if found else None)
        for user_id in ("u1", "U1", "u2", "u3"):
            found = [row for row in expected if (row["app_id"], row["user_id"]) == (app_id, user_id)]
            assert by_key(find_user_endpoints(cursor, app_id, user_id)) == by_key(found)
        for address in ("a1", "a2"):
            found = [row for row in expected if (row["app_id"], row["address"]) == (app_id, address)]
            assert by_key(find_endpoints_at(cursor, app_id, address)) == by_key(found)


def by_key(rows: Updates) -> Updates:
    return sorted(rows, key=lambda row: str(row["endpoint_id"]).lower())


@pytest.mark.parametrize("seed", range(3))
def test_many_updates_in_random_batches_are_those_at_once(seed: int) -> None:
    """Longer than what is drawn above, so that users, addresses and removals pile up."""
    chance = random.Random(seed)
    updates = place([(draw(chance), chance.randrange(3), chance.randrange(2)) for _ in range(400)])
    expected = Model().fold(updates).rows()
    cuts = sorted(chance.sample(range(400), 7))
    batches = [updates[start:end] for start, end in zip([0, *cuts], [*cuts, 400], strict=True)]
    assert merged_rows(merge_batches(batches)) == expected
    assert shown(merge_batches(batches[:4]).rows().read_all(), updates) == expected


def draw(chance: random.Random) -> dict[str, Any]:
    app = {"app_id": chance.choice(["shop", "blog"])}
    endpoint_id, user_id = f"e{chance.randrange(40)}", f"u{chance.randrange(5)}"
    kind = chance.random()
    if kind < 0.1:
        return app | {"operation": "delete", "endpoint_id": endpoint_id, "user_id": chance.choice([None, user_id])}
    if kind < 0.15:
        return app | {"operation": "delete_user", "endpoint_id": None, "user_id": user_id}
    if kind < 0.16:
        return app | {
            "operation": "remove_attributes",
            "endpoint_id": None,
            "removed_type": f"endpoint-{chance.choice(['custom', 'metric', 'user'])}-attributes",
            "removed_names": [f"n{chance.randrange(8)}", f"*{chance.randrange(8)}"][: chance.randrange(1, 3)],
        }
    names = [f"n{chance.randrange(8)}{chance.choice('ab')}" for _ in range(2)]
    values = [str(chance.randrange(9))] * chance.randrange(3)
    return app | {
        "endpoint_id": endpoint_id,
        "channel_type": chance.choice([None, "EMAIL", "SMS"]),
        "address": chance.choice([None, f"a{chance.randrange(10)}"]),
        "endpoint_status": chance.choice([None, None, "INACTIVE"]),
        "user_id": chance.choice([None, user_id]),
        "attributes": dict.fromkeys(names, values),
        "user_attributes": dict.fromkeys(names, values),
        "metrics": {names[0]: 1.5},
    }
