"""Apps and what belongs to them, on SQLite and on PostgreSQL."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Engine

from pipeline.definitions.apps import (
    App,
    EventStream,
    allow_guests,
    create_app,
    delete_app,
    delete_event_stream,
    find_app,
    find_event_stream,
    forbid_guests,
    list_apps,
    list_guest_pools,
    load_app_settings,
    put_event_stream,
    tag_app,
    untag_app,
    update_app_settings,
)
from pipeline.definitions.checks import TAGS_MAX
from pipeline.definitions.database import changing, reading
from pipeline.definitions.keys import create_write_key, list_keys
from schemas.errors import UsageError

NOON = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
POOL = "eu-central-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"


def test_an_app_is_found_as_it_was_created(engine: Engine) -> None:
    east = dt.datetime(2026, 11, 26, 14, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    with changing(engine) as connection:
        created = create_app(connection, "Shop of the north", "Shop_1-a", {"team": "shop", "empty": ""}, at=east)
    with reading(engine) as connection:
        assert find_app(connection, "Shop_1-a") == created
    assert created == App("Shop_1-a", "Shop of the north", NOON, 1, {"empty": "", "team": "shop"})
    assert created.created_at.tzinfo == dt.UTC


def test_an_app_without_an_id_gets_one_like_pinpoints(engine: Engine) -> None:
    with changing(engine) as connection:
        made = [create_app(connection, "Shop").app_id for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", app_id) for app_id in made)
    assert made[0] != made[1]


def test_ids_are_told_apart_by_case(engine: Engine) -> None:
    with changing(engine) as connection:
        create_app(connection, "one", "shop")
        create_app(connection, "two", "SHOP")
        assert [app and app.name for app in (find_app(connection, name) for name in ("shop", "SHOP", "Shop"))] == ["one", "two", None]


def test_a_taken_id_is_refused_and_the_transaction_goes_on(engine: Engine) -> None:
    with changing(engine) as connection:
        create_app(connection, "one", "shop")
        with pytest.raises(UsageError, match="App id 'shop' is taken"):
            create_app(connection, "two", "shop")
        create_app(connection, "three", "other")
    with reading(engine) as connection:
        assert {app.name for app in list_apps(connection)} == {"one", "three"}


@pytest.mark.parametrize("app_id", ["a", "x" * 64, "_-09azAZ"])
def test_an_id_at_the_border_is_taken(engine: Engine, app_id: str) -> None:
    with changing(engine) as connection:
        assert create_app(connection, "Shop", app_id).app_id == app_id


@pytest.mark.parametrize("app_id", ["", "x" * 65, "a b", "a.b", "ä", "a\n", "a/b"])
def test_an_id_beyond_the_border_is_refused(engine: Engine, app_id: str) -> None:
    with changing(engine) as connection, pytest.raises(UsageError, match="cannot be used; expected 1 to 64 of"):
        create_app(connection, "Shop", app_id)


@pytest.mark.parametrize(
    ("name", "is_fit"), [("x", True), ("ü" * 64, True), ("", False), ("x" * 65, False), ("a\0b", False), ("\ud800", False)]
)
def test_a_name_has_1_to_64_characters_that_can_be_shown(engine: Engine, name: str, is_fit: bool) -> None:
    with changing(engine) as connection:
        if is_fit:
            assert create_app(connection, name).name == name
        else:
            with pytest.raises(UsageError, match="App name"):
                create_app(connection, name)


def test_apps_are_listed_by_creation_then_id_and_in_pages(engine: Engine) -> None:
    with changing(engine) as connection:
        for app_id, minute in [("late", 2), ("b", 1), ("B", 1), ("a", 1), ("early", 0)]:
            create_app(connection, app_id, app_id, {"x": "1", "y": "2"}, at=NOON + dt.timedelta(minutes=minute))
    with reading(engine) as connection:
        listed = [app.app_id for app in list_apps(connection)]
        assert listed == ["early", "B", "a", "b", "late"]
        assert [app.app_id for app in list_apps(connection, limit=2)] == listed[:2]
        assert [app.app_id for app in list_apps(connection, after="a", limit=2)] == listed[3:]
        assert list_apps(connection, after="late") == []
        assert all(app.tags == {"x": "1", "y": "2"} for app in list_apps(connection))
        with pytest.raises(UsageError, match="There is no app 'gone'"):
            list_apps(connection, after="gone")


def test_members_of_settings_that_are_given_replace_those_before_and_the_others_stay(engine: Engine) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
        assert load_app_settings(connection, "shop") == {}
        update_app_settings(connection, "shop", {"Limits": {"Daily": 1, "Total": 5}, "QuietTime": {"Start": "22:00"}, "Zero": 0.1})
        found = update_app_settings(connection, "shop", {"Limits": {"Daily": 2}, "QuietTime": None, "Hook": ["ü\0\ud800", True]})
        assert found == {"Limits": {"Daily": 2}, "QuietTime": None, "Zero": 0.1, "Hook": ["ü\0\ud800", True]}
        assert update_app_settings(connection, "shop", {}) == found
    with reading(engine) as connection:
        assert load_app_settings(connection, "shop") == found


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_setting_that_json_does_not_have_is_refused(engine: Engine, value: object) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
        with pytest.raises(UsageError, match="Setting 'Limits' of an app has a value that JSON does not have"):
            update_app_settings(connection, "shop", {"Limits": value})


def test_tags_are_set_and_removed_one_by_one(engine: Engine) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop", {"a": "1", "b": "2"})
        tag_app(connection, "shop", {"b": "3", "c": "4"})
        untag_app(connection, "shop", ["a", "never there"])
        found = find_app(connection, "shop")
    assert found is not None
    assert found.tags == {"b": "3", "c": "4"}


def test_an_app_has_as_many_tags_as_aws_allows_and_no_more(engine: Engine) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop", {f"tag-{index}": "" for index in range(TAGS_MAX)})
        tag_app(connection, "shop", {"tag-0": "another value"})
        with pytest.raises(UsageError, match="would have 51 tags; expected at most 50"):
            tag_app(connection, "shop", {"one more": ""})


@pytest.mark.parametrize(
    ("name", "value", "is_fit"), [("n" * 128, "v" * 256, True), ("n" * 129, "", False), ("", "", False), ("n", "v" * 257, False)]
)
def test_tags_have_the_lengths_that_aws_allows(engine: Engine, name: str, value: str, is_fit: bool) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
        if is_fit:
            tag_app(connection, "shop", {name: value})
        else:
            with pytest.raises(UsageError, match="characters; expected"):
                tag_app(connection, "shop", {name: value})


def test_an_app_has_one_event_stream_the_last_that_was_put(engine: Engine) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
        assert find_event_stream(connection, "shop") is None
        assert delete_event_stream(connection, "shop") is None
        put_event_stream(connection, "shop", "arn:1", "arn:role", at=NOON)
        put = put_event_stream(connection, "shop", "arn:2", "arn:role", "HWAK", at=NOON)
    with changing(engine) as connection:
        assert put == EventStream("shop", "arn:2", "arn:role", NOON, "HWAK")
        assert find_event_stream(connection, "shop") == put
        assert delete_event_stream(connection, "shop") == put
        assert find_event_stream(connection, "shop") is None


def test_a_pool_is_made_or_given_and_belongs_to_one_app(engine: Engine) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
        create_app(connection, "Other", "other")
        made = allow_guests(connection, "shop")
        assert re.fullmatch("us-east-1:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", made)
        assert allow_guests(connection, "shop", POOL) == allow_guests(connection, "shop", POOL) == POOL
        with pytest.raises(UsageError, match=f"Guest pool '{POOL}' belongs to app 'shop'"):
            allow_guests(connection, "other", POOL)
    with changing(engine) as connection:
        assert list_guest_pools(connection) == {made: "shop", POOL: "shop"}
        assert [forbid_guests(connection, POOL) for _ in range(2)] == [True, False]
        assert allow_guests(connection, "other", POOL) == POOL
        assert list_guest_pools(connection) == {made: "shop", POOL: "other"}


@pytest.mark.parametrize("pool_id", ["", "us-east-1", "us-east-1:1", POOL.upper(), f"{POOL}0", POOL.split(":")[1], f"{POOL}\n"])
def test_a_pool_of_another_form_is_refused(engine: Engine, pool_id: str) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
        with pytest.raises(UsageError, match="cannot be used; expected a region and a UUID"):
            allow_guests(connection, "shop", pool_id)


def test_each_change_raises_the_version_by_one_and_a_look_does_not(engine: Engine) -> None:
    def version() -> int:
        with reading(engine) as connection:
            found = find_app(connection, "shop")
        assert found is not None
        return found.version

    changes: list[Callable[[Connection], object]] = [
        lambda connection: create_app(connection, "Shop", "shop", {"a": "b"}),
        lambda connection: tag_app(connection, "shop", {"b": "c"}),
        lambda connection: untag_app(connection, "shop", ["b"]),
        lambda connection: update_app_settings(connection, "shop", {"Limits": {}}),
        lambda connection: put_event_stream(connection, "shop", "arn:1", "arn:2"),
        lambda connection: delete_event_stream(connection, "shop"),
        lambda connection: allow_guests(connection, "shop", POOL),
        lambda connection: forbid_guests(connection, POOL),
    ]
    versions = []
    for change in changes:
        with changing(engine) as connection:
            change(connection)
        versions.append(version())
    assert versions == list(range(1, 9))
    with changing(engine) as connection:
        delete_event_stream(connection, "shop")
        forbid_guests(connection, POOL)
        list_apps(connection)
    assert version() == 8


def test_what_belongs_to_an_app_goes_with_it_and_nothing_else(engine: Engine) -> None:
    with changing(engine) as connection:
        for app_id in ("shop", "other"):
            create_app(connection, app_id, app_id, {"a": "b"})
            update_app_settings(connection, app_id, {"Limits": {}})
            put_event_stream(connection, app_id, "arn:1", "arn:2")
            allow_guests(connection, app_id)
            create_write_key(connection, app_id=app_id)
        create_write_key(connection)
    with changing(engine) as connection:
        deleted = delete_app(connection, "shop")
        assert deleted is not None
        assert (deleted.app_id, deleted.tags) == ("shop", {"a": "b"})
        assert delete_app(connection, "shop") is None
    with changing(engine) as connection:
        assert [app.app_id for app in list_apps(connection)] == ["other"]
        assert set(list_guest_pools(connection).values()) == {"other"}
        assert {key.app_id for key in list_keys(connection)} == {"other", None}
        assert find_event_stream(connection, "shop") is None
        assert load_app_settings(connection, "shop") == {}
        assert load_app_settings(connection, "other") == {"Limits": {}}
        created = create_app(connection, "Again", "shop")
        assert (created.tags, created.version) == ({}, 1)


def test_changes_of_an_app_that_is_not_there_are_refused(engine: Engine) -> None:
    changes: list[Callable[[Connection], object]] = [
        lambda connection: tag_app(connection, "gone", {"a": "b"}),
        lambda connection: untag_app(connection, "gone", ["a"]),
        lambda connection: update_app_settings(connection, "gone", {"Limits": {}}),
        lambda connection: put_event_stream(connection, "gone", "arn:1", "arn:2"),
        lambda connection: allow_guests(connection, "gone"),
    ]
    for change in changes:
        with changing(engine) as connection, pytest.raises(UsageError, match="There is no app 'gone'; 'headwater apps list'"):
            change(connection)
