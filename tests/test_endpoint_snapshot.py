"""The snapshot of endpoints on real Delta tables: what the views say is the same with it and without it, whoever dies or rivals; it holds each row once."""

import dataclasses
import logging
from datetime import timedelta
from typing import Any

import pytest

from pipeline.config import Settings
from pipeline.endpoints.snapshot import read_covered
from pipeline.maintenance.compact import Tenure
from pipeline.maintenance.run import Maintenance
from schemas.errors import UnavailableError
from tests.endpoint_lake import FEW, EndpointLander, build_merging, seen
from tests.endpoint_rows import Model, delete, delete_user, remove, update
from tests.lake_rows import NOON, Row
from tests.maintained import build, open_table, run, run_until

STEPS = ["before endpoint_states read", "before endpoint_states upload", "before endpoint_states commit", "after endpoint_states commit"]


def first_rows() -> list[dict[str, Any]]:
    return placed(
        [
            update("a", user_id="anna", address="a@x", channel_type="EMAIL", user_attributes={"plan": ["gold"]}, attributes={"x": ["1"]}),
            update("b", user_id="anna", metrics={"score": 1.5}),
            update("c", address="c@x", channel_type="EMAIL"),
            update("gone"),
        ]
    )


def later_rows() -> list[dict[str, Any]]:
    return placed(
        [
            delete("gone"),
            update("B", attributes={"y": ["2"]}),
            update("d", address="a@x", channel_type="EMAIL"),
            remove(["x*"]),
            delete_user("anna"),
            update("c", attributes={"xx": ["no"]}, user_id="carl"),
        ],
        start=4,
    )


def placed(
    rows: list[dict[str, Any]], start: int = 0, partition: int = 0, topic_id: str = "topic", secs: float = 0
) -> list[dict[str, Any]]:
    """In one partition, a second apart."""
    return [
        row
        | {
            "_topic_id": topic_id,
            "_partition": partition,
            "_offset": start + number,
            "_appended_at": NOON + timedelta(seconds=secs + start + number),
        }
        for number, row in enumerate(rows)
    ]


def expected(rows: list[Row]) -> list[dict[str, Any]]:
    return Model().fold(rows).rows()


@pytest.fixture
def lander(settings: Settings) -> EndpointLander:
    """A lake whose snapshot holds four updates, and six that came after it."""
    found = EndpointLander(settings)
    found.land(first_rows())
    run(build_merging(settings, found))
    found.land(later_rows())
    return found


def kinds(settings: Settings) -> list[tuple[str, ...]]:
    """What tells the snapshot's rows apart."""
    rows = open_table(settings, "endpoint_states").dataset().to_table().to_pylist()
    names = ("kind", "app_id", "endpoint_key", "user_id", "removed_name", "_topic_id", "_partition")
    wanted = {
        "endpoint": names[:3],
        "user": ("kind", "app_id", "user_id"),
        "removal": ("kind", "app_id", "removed_name"),
        "covered": names[5:],
    }
    return sorted(tuple(str(row[name]) for name in wanted[row["kind"]]) for row in rows)


def test_the_views_say_the_same_before_and_after_a_snapshot(settings: Settings, lander: EndpointLander) -> None:
    before, users = seen(settings), seen(settings, "core.users")
    assert before == expected(lander.landed)
    assert [(user["user_id"], user["endpoint_count"], user["user_attributes"]) for user in users] == [("anna", 2, {}), ("carl", 1, {})]
    maintenance = build_merging(settings, lander)
    run(maintenance)
    assert maintenance.metrics.endpoint_updates._value.get() == 6
    assert seen(settings, "core.endpoint_tail") == []
    assert (seen(settings), seen(settings, "core.users")) == (before, users)
    assert seen(settings, "core.attribute_removals") == [
        {"app_id": "shop", "removed_type": "endpoint-custom-attributes", "removed_name": "x*"}
    ]


def test_a_snapshot_is_replaced_whole(settings: Settings, lander: EndpointLander) -> None:
    run(build_merging(settings, lander))
    assert kinds(settings) == sorted(
        [
            *(("endpoint", "shop", key) for key in "abcd"),
            ("removal", "shop", "x*"),
            ("topic", "0"),
        ]
    )
    states = open_table(settings, "endpoint_states")
    offsets, as_of = read_covered(states)
    assert list(offsets.values()) == [10]
    assert as_of is not None
    assert as_of > NOON


def test_a_lake_without_endpoints_gets_no_table_of_states_and_empty_views(settings: Settings) -> None:
    assert seen(settings) == seen(settings, "core.users") == seen(settings, "core.attribute_removals") == []
    assert "endpoint_states" not in run(build(settings))
    assert seen(settings) == []


def test_a_table_of_updates_without_rows_makes_no_snapshot(settings: Settings) -> None:
    assert run(build_merging(settings, EndpointLander(settings)))["endpoint_states"]["files"] == 0
    assert seen(settings) == []


@pytest.mark.parametrize(("age_secs", "is_due"), [(3599, False), (3600, True)])
def test_few_updates_are_merged_once_the_oldest_is_an_hour_old(settings: Settings, age_secs: float, is_due: bool) -> None:
    lander = EndpointLander(settings)
    lander.land(placed([update("a"), update("b")]))
    run(build_merging(settings, lander, clock=lambda: NOON.timestamp() + age_secs))
    assert len(seen(settings, "core.endpoint_tail")) == (0 if is_due else 2)
    assert len(seen(settings)) == 2


def test_updates_that_fill_the_setting_are_merged_at_once(settings: Settings) -> None:
    lander = EndpointLander(settings)
    lander.land(placed([update("a"), update("b"), update("c")]))
    run(build_merging(settings, lander, clock=lambda: NOON.timestamp() + 63))
    assert seen(settings, "core.endpoint_tail") == []
    assert FEW.endpoint_rows_min == 3


def test_while_kafka_is_away_there_is_no_new_snapshot_and_the_log_says_so(
    settings: Settings, lander: EndpointLander, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> Any:
        raise UnavailableError("Kafka at 'here' does not answer.")

    maintenance = build_merging(settings, lander)
    lander_before = seen(settings)
    with caplog.at_level(logging.WARNING):
        reports = run(_asking(maintenance, refuse))
    assert "6 updates wait for it: Kafka at 'here' does not answer." in caplog.text
    assert reports["endpoint_states"]["failure"] is None
    assert len(seen(settings, "core.endpoint_tail")) == 6
    assert seen(settings) == lander_before


def _asking(maintenance: Maintenance, ask: Any) -> Maintenance:
    return dataclasses.replace(maintenance, ask_ends=ask)


@pytest.mark.parametrize("step", STEPS)
def test_a_maintainer_that_dies_at_any_step_changes_nothing_that_is_seen_and_the_next_run_finishes(
    settings: Settings, lander: EndpointLander, step: str
) -> None:
    before = seen(settings)
    # It is held where it died, so that nothing of it is tidied up.
    dead = build_merging(settings, lander).run([])
    run_until(dead, step)
    assert seen(settings) == before
    run(build_merging(settings, lander))
    assert seen(settings, "core.endpoint_tail") == []
    assert seen(settings) == before == expected(lander.landed)


@pytest.mark.parametrize("step", STEPS)
def test_of_two_maintainers_one_wins_and_every_endpoint_is_there_once(settings: Settings, lander: EndpointLander, step: str) -> None:
    before = seen(settings)
    first = build_merging(settings, lander)
    steps = first.run([])
    run_until(steps, step)
    second = build_merging(settings, lander)
    run(second)
    list(steps)
    assert seen(settings) == before
    assert len(kinds(settings)) == len(set(kinds(settings)))
    assert first.metrics.endpoint_updates._value.get() + second.metrics.endpoint_updates._value.get() == 6


@pytest.mark.parametrize("is_guarded", [True, pytest.param(False, id="control")])
def test_of_two_that_make_the_first_snapshot_one_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch, is_guarded: bool) -> None:
    """There is no file yet that both would remove, at which Delta would see that they are two."""
    if not is_guarded:
        monkeypatch.setattr(Tenure, "transaction", lambda self: {})
        monkeypatch.setattr(Tenure, "settle", lambda self, is_refused=False: self._table.refresh() or not is_refused)
    lander = EndpointLander(settings)
    lander.land(first_rows())
    steps = build_merging(settings, lander).run([])
    run_until(steps, "before endpoint_states commit")
    run(build_merging(settings, lander))
    list(steps)
    found = kinds(settings)
    assert len(found) == (1 if is_guarded else 2) * len(set(found))


def test_what_a_lagging_partition_has_not_landed_keeps_later_updates_out_of_the_snapshot(settings: Settings) -> None:
    lander = EndpointLander(settings)
    lander.land(placed([update("a", city="Rome"), update("b"), update("c"), update("a", city="Paris")]))
    lander.land(placed([update("x")], partition=1))
    # Appended between the first and the last of the other partition, by another producer of the same endpoint; it lands late.
    late = placed([update("a", city="Oslo")], start=1, partition=1, secs=0.5)
    lander.append(late)
    run(build_merging(settings, lander))
    assert seen(settings, "core.endpoint_tail") != []
    lander.land(late)
    run(build_merging(settings, lander))
    assert seen(settings, "core.endpoint_tail") == []
    assert seen(settings) == expected(lander.landed)
    assert next(row["city"] for row in seen(settings) if row["endpoint_id"] == "a") == "Paris"


def test_control_a_snapshot_that_does_not_wait_merges_in_another_order(settings: Settings) -> None:
    lander = EndpointLander(settings)
    lander.land(placed([update("a", city="Rome"), update("b"), update("c"), update("a", city="Paris")]))
    run(build_merging(settings, lander))
    lander.land(placed([update("a", city="Oslo"), update("x"), update("y")], partition=1, secs=0.5))
    assert seen(settings) != expected(lander.landed)
