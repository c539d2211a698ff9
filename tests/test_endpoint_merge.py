"""Each rule of merging by itself, as queries/README.md says it: by the views over updates alone and over snapshot and tail, and merged batch by batch."""

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.endpoints.merge import EndpointStates
from tests.endpoint_rows import as_updates, delete, delete_user, merge_batches, merged_rows, moment, remove, shown, update
from tests.lake_rows import NOON, Row

EMAIL = {"channel_type": "EMAIL", "address": "a@example.org"}


def merged(*updates: Row) -> dict[str, dict[str, Any]]:
    """Endpoints by their id, after these updates: the same without a snapshot, from one of all but the last, and merged one by one."""
    at_once = shown(None, updates)
    states = merge_batches([[row] for row in updates[:-1]])
    assert shown(states.rows().read_all(), updates) == at_once
    states.merge(as_updates(updates[-1:]))
    assert merged_rows(states) == at_once
    return {row["endpoint_id"]: row for row in at_once}


def one(*updates: Row) -> dict[str, Any]:
    (found,) = merged(*updates).values()
    return found


class TestScalars:
    def test_what_is_said_replaces_and_what_is_not_said_stays(self) -> None:
        found = one(update(city="Rome", make="acme"), update(city="Oslo", model="x"))
        assert (found["city"], found["make"], found["model"]) == ("Oslo", "acme", "x")

    def test_an_empty_text_is_said(self) -> None:
        assert one(update(city="Rome"), update(city=""))["city"] == ""

    def test_zero_degrees_are_said(self) -> None:
        assert one(update(latitude=1.5, longitude=2.5), update(latitude=0.0))["latitude"] == 0.0

    def test_of_extra_the_last_that_is_not_null_stays(self) -> None:
        assert one(update(extra='{"a":1}'), update(extra='{"b":2}'), update())["extra"] == '{"b":2}'

    def test_ids_that_differ_in_case_are_one_endpoint_with_the_id_as_last_sent(self) -> None:
        found = one(update("Phone", city="Rome"), update("PHONE", make="acme"))
        assert (found["endpoint_id"], found["city"], found["make"]) == ("PHONE", "Rome", "acme")

    def test_the_same_id_in_two_apps_is_two_endpoints(self) -> None:
        rows = merged_rows(merge_batches([[update(city="Rome"), update(app_id="blog", city="Oslo")]]))
        assert [(row["app_id"], row["city"]) for row in rows] == [("blog", "Oslo"), ("shop", "Rome")]


class TestOrder:
    def test_order_is_by_append_time_not_by_place(self) -> None:
        later = update(city="Oslo", _partition=0, _offset=0, _appended_at=moment(2))
        earlier = update(city="Rome", _partition=1, _offset=9, _appended_at=moment(1))
        assert [row["city"] for row in merged_rows(merge_batches([[later, earlier]]))] == ["Oslo"]
        assert [row["city"] for row in shown(None, [later, earlier])] == ["Oslo"]

    @pytest.mark.parametrize(("first", "second"), [((0, 7), (1, 3)), ((1, 3), (1, 4))])
    def test_at_one_moment_partition_and_then_offset_decide(self, first: tuple[int, int], second: tuple[int, int]) -> None:
        before = update(city="Rome", _partition=first[0], _offset=first[1], _appended_at=NOON)
        after = update(city="Oslo", _partition=second[0], _offset=second[1], _appended_at=NOON)
        assert [row["city"] for row in shown(None, [after, before])] == ["Oslo"]

    def test_a_batch_that_comes_again_changes_nothing(self) -> None:
        rows = [update(attributes={"a": ["1"]}), update(city="Rome"), delete("phone-2")]
        states = merge_batches([rows, [update(city="Oslo", attributes={"a": []})]])
        before = merged_rows(states)
        assert states.merge(as_updates(rows)).endpoints == 0
        assert merged_rows(states) == before

    def test_control_a_batch_that_comes_again_uncovered_changes_what_came_after(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(EndpointStates, "_set_covered", lambda self, offsets: None)
        rows = [update(city="Rome")]
        states = merge_batches([rows, [update(city="Oslo")]])
        states.merge(as_updates(rows))
        assert merged_rows(states)[0]["city"] == "Rome"

    def test_control_batches_in_another_order_merge_to_something_else(self) -> None:
        first, second = [update(city="Rome")], [update(city="Oslo")]
        for number, row in enumerate([*first, *second]):
            row |= {"_partition": number}
        assert merged_rows(merge_batches([first, second])) != merged_rows(merge_batches([second, first]))


class TestAttributes:
    def test_a_name_gets_its_new_values_and_the_others_stay(self) -> None:
        found = one(
            update(attributes={"a": ["1", "2"], "b": ["3"]}, metrics={"m": 1.0, "n": 2.0}),
            update(attributes={"a": ["4"]}, metrics={"m": 0.0}),
        )
        assert (found["attributes"], found["metrics"]) == ({"a": ["4"], "b": ["3"]}, {"m": 0.0, "n": 2.0})

    def test_no_values_remove_a_name_and_it_may_come_again(self) -> None:
        assert one(update(attributes={"a": ["1"], "b": ["2"]}), update(attributes={"a": []}))["attributes"] == {"b": ["2"]}
        assert one(update(attributes={"a": ["1"]}), update(attributes={"a": []}), update(attributes={"a": ["3"]}))["attributes"] == {
            "a": ["3"]
        }

    def test_an_empty_text_is_a_value(self) -> None:
        assert one(update(attributes={"a": [""]}))["attributes"] == {"a": [""]}


class TestUserAttributes:
    def test_endpoints_of_a_user_share_them(self) -> None:
        found = merged(update("a", user_id="anna", user_attributes={"x": ["1"]}), update("b", user_id="anna", user_attributes={"y": ["2"]}))
        assert found["a"]["user_attributes"] == found["b"]["user_attributes"] == {"x": ["1"], "y": ["2"]}

    def test_user_ids_are_exact(self) -> None:
        found = merged(update("a", user_id="anna", user_attributes={"x": ["1"]}), update("b", user_id="Anna"))
        assert found["b"]["user_attributes"] == {}

    def test_users_of_two_apps_are_two(self) -> None:
        found = merged(update("a", user_id="anna", user_attributes={"x": ["1"]}), update("b", user_id="anna", app_id="blog"))
        assert found["b"]["user_attributes"] == {}

    def test_an_endpoint_that_moves_shows_those_of_its_new_user_and_leaves_the_old_ones(self) -> None:
        found = merged(
            update("a", user_id="anna", user_attributes={"x": ["anna's"]}),
            update("b", user_id="anna"),
            update("c", user_id="carl", user_attributes={"x": ["carl's"]}),
            update("a", user_id="carl"),
        )
        assert {key: row["user_attributes"] for key, row in found.items()} == {
            "a": {"x": ["carl's"]},
            "b": {"x": ["anna's"]},
            "c": {"x": ["carl's"]},
        }

    def test_those_said_with_the_move_are_the_new_users(self) -> None:
        found = merged(update("a", user_id="anna"), update("b", user_id="anna"), update("a", user_id="carl", user_attributes={"x": ["1"]}))
        assert (found["a"]["user_attributes"], found["b"]["user_attributes"]) == ({"x": ["1"]}, {})

    def test_without_a_user_they_are_the_endpoints_own_and_are_not_shown_once_there_is_one(self) -> None:
        assert one(update(user_attributes={"x": ["1"]}), update(user_attributes={"y": ["2"]}))["user_attributes"] == {
            "x": ["1"],
            "y": ["2"],
        }
        assert one(update(user_attributes={"x": ["1"]}), update(user_id="anna", user_attributes={"y": ["2"]}))["user_attributes"] == {
            "y": ["2"]
        }

    def test_a_user_without_endpoints_keeps_them_for_the_next(self) -> None:
        found = one(update("a", user_id="anna", user_attributes={"x": ["1"]}), delete("a"), update("b", user_id="anna"))
        assert found["user_attributes"] == {"x": ["1"]}

    def test_a_user_that_is_deleted_has_only_what_came_after(self) -> None:
        rows = [update(user_id="anna", user_attributes={"x": ["1"]}), delete_user("anna")]
        assert one(*rows)["user_attributes"] == {}
        assert one(*rows, update(user_attributes={"y": ["2"]}))["user_attributes"] == {"y": ["2"]}


class TestStatus:
    def test_an_update_activates_unless_it_says_inactive(self) -> None:
        assert one(update())["endpoint_status"] == "ACTIVE"
        assert one(update(endpoint_status="INACTIVE"))["endpoint_status"] == "INACTIVE"
        assert one(update(endpoint_status="INACTIVE"), update(city="Rome"))["endpoint_status"] == "ACTIVE"

    def statuses(self, *updates: Row) -> dict[str, str]:
        return {key: row["endpoint_status"] for key, row in merged(*updates).items()}

    def test_the_newer_of_two_with_one_address_turns_the_older_inactive(self) -> None:
        assert self.statuses(update("a", **EMAIL), update("b", **EMAIL)) == {"a": "INACTIVE", "b": "ACTIVE"}

    def test_until_the_older_is_updated_itself(self) -> None:
        assert self.statuses(update("a", **EMAIL), update("b", **EMAIL), update("a")) == {"a": "ACTIVE", "b": "INACTIVE"}

    def test_an_update_that_does_not_name_the_address_claims_it_too(self) -> None:
        assert self.statuses(update("a", **EMAIL), update("b", **EMAIL), update("a", city="Rome")) == {"a": "ACTIVE", "b": "INACTIVE"}

    def test_an_inactive_one_claims_nothing(self) -> None:
        assert self.statuses(update("a", **EMAIL), update("b", endpoint_status="INACTIVE", **EMAIL)) == {"a": "ACTIVE", "b": "INACTIVE"}

    @pytest.mark.parametrize(
        "other", [{"channel_type": "SMS"}, {"address": "b@example.org"}, {"app_id": "blog"}, {"address": "A@example.org"}]
    )
    def test_another_channel_address_or_app_is_no_clash(self, other: dict[str, str]) -> None:
        assert self.statuses(update("a", **EMAIL), update("b", **(EMAIL | other))) == {"a": "ACTIVE", "b": "ACTIVE"}

    def test_without_address_or_channel_nothing_is_claimed(self) -> None:
        assert self.statuses(update("a"), update("b")) == {"a": "ACTIVE", "b": "ACTIVE"}
        assert self.statuses(update("a", address="x"), update("b", address="x")) == {"a": "ACTIVE", "b": "ACTIVE"}

    def test_a_claim_holds_though_the_claimer_moves_on_or_is_deleted(self) -> None:
        assert self.statuses(update("a", **EMAIL), update("b", **EMAIL), update("b", address="x")) == {"a": "INACTIVE", "b": "ACTIVE"}
        assert self.statuses(update("a", **EMAIL), update("b", **EMAIL), delete("b")) == {"a": "INACTIVE"}

    def test_an_address_that_is_taken_over_later_is_claimed_then(self) -> None:
        assert self.statuses(
            update("a", **EMAIL), update("b", channel_type="EMAIL", address="x"), update("b", address=EMAIL["address"])
        ) == {
            "a": "INACTIVE",
            "b": "ACTIVE",
        }

    def test_an_endpoint_does_not_turn_itself_inactive(self) -> None:
        assert self.statuses(update("a", **EMAIL), update("A", **EMAIL)) == {"A": "ACTIVE"}

    def test_what_is_turned_inactive_is_not_updated_by_that(self) -> None:
        first = update("a", **EMAIL)
        assert merged(first, update("b", **EMAIL))["a"]["updated_at"] == first["_appended_at"]


class TestDefaults:
    def test_opt_out_is_none_until_it_is_said_and_the_last_said_stays(self) -> None:
        assert one(update())["opt_out"] == "NONE"
        assert one(update(opt_out="ALL"), update(city="Rome"))["opt_out"] == "ALL"
        assert one(update(opt_out="ALL"), update(opt_out="NONE"))["opt_out"] == "NONE"

    def test_cohort_is_a_stable_hash_of_the_id_alone_until_it_is_said(self) -> None:
        # 0x617576f0 % 100: the first eight digits of the md5 of phone-1, as any engine has it.
        assert one(update("phone-1"))["cohort_id"] == one(update("PHONE-1", app_id="blog"))["cohort_id"] == 12
        assert one(update(cohort_id=7), update())["cohort_id"] == 7

    def test_creation_is_the_first_update_since_the_last_delete(self) -> None:
        first, second, deleted, again, last = update(), update(), delete(), update(), update()
        assert one(first, second)["creation_date"] == first["_appended_at"]
        assert one(first, second, deleted, again, last)["creation_date"] == again["_appended_at"]

    def test_a_creation_date_that_is_said_wins_and_the_first_said_stays(self) -> None:
        assert one(update(), update(creation_date=NOON), update(creation_date=NOON + timedelta(days=1)))["creation_date"] == NOON

    def test_effective_date_is_of_the_last_update_alone(self) -> None:
        first, exported, last = update(), update(effective_date=NOON - timedelta(days=1000)), update()
        assert one(first, last)["effective_date"] == last["_appended_at"]
        assert one(first, exported)["effective_date"] == exported["effective_date"]
        assert one(first, exported, last)["effective_date"] == last["_appended_at"]

    def test_request_id_is_of_the_last_update_alone(self) -> None:
        first, exported, last = update(), update(request_id="r1"), update()
        assert one(first, exported)["request_id"] == "r1"
        assert one(first, exported, last)["request_id"] == last["update_id"]

    def test_a_later_update_of_another_endpoint_leaves_both_as_they_are(self) -> None:
        """It turns the first inactive, and updates it not."""
        first = update("a", effective_date=NOON, request_id="r1", **EMAIL)
        found = merged(first, update("b", **EMAIL))["a"]
        assert (found["endpoint_status"], found["effective_date"], found["request_id"]) == ("INACTIVE", NOON, "r1")


class TestDelete:
    def test_a_deleted_endpoint_is_gone(self) -> None:
        assert merged(update(), delete()) == {}
        assert merged(update("Phone"), delete("PHONE")) == {}

    def test_what_was_never_there_may_be_deleted(self) -> None:
        assert merged(delete()) == {}

    def test_a_later_update_makes_it_anew_with_nothing_of_before(self) -> None:
        found = one(update(city="Rome", user_id="anna", opt_out="ALL", attributes={"a": ["1"]}, **EMAIL), delete(), update(make="acme"))
        assert (found["city"], found["user_id"], found["opt_out"], found["attributes"], found["address"]) == (None, None, "NONE", {}, None)

    def test_deleted_made_and_deleted_again_it_is_gone(self) -> None:
        assert merged(update(), delete(), update(), delete()) == {}


class TestDeleteOfAUsersEndpoint:
    def test_it_deletes_the_endpoint_that_is_the_users(self) -> None:
        assert merged(update(user_id="anna"), update(city="Rome"), delete(user_id="anna")) == {}

    def test_an_endpoint_that_went_over_to_another_user_stays_with_all_it_has(self) -> None:
        found = one(update(user_id="anna", city="Rome"), update(user_id="carl"), delete(user_id="anna"))
        assert (found["user_id"], found["city"]) == ("carl", "Rome")

    def test_one_that_comes_back_to_the_user_is_deleted(self) -> None:
        assert merged(update(user_id="anna"), update(user_id="carl"), update(user_id="anna"), delete(user_id="anna")) == {}

    def test_one_that_goes_over_afterwards_is_made_anew(self) -> None:
        found = one(update(user_id="anna", city="Rome"), delete(user_id="anna"), update(user_id="carl"))
        assert (found["user_id"], found["city"]) == ("carl", None)

    @pytest.mark.parametrize("whose", [None, "anna"])
    def test_what_was_made_anew_for_nobody_is_not_the_users_any_more(self, whose: str | None) -> None:
        found = one(update(user_id="anna"), delete(user_id=whose), update(city="Oslo"), delete(user_id="anna"))
        assert (found["user_id"], found["city"]) == (None, "Oslo")

    def test_control_a_delete_that_names_nobody_deletes_it_whoever_has_it(self) -> None:
        assert merged(update(user_id="anna"), update(user_id="carl"), delete()) == {}


class TestRemovals:
    def test_a_removed_name_is_kept_where_it_is_and_not_taken_any_more(self) -> None:
        found = merged(
            update("a", attributes={"x": ["1"]}),
            remove(["x"]),
            update("a", attributes={"x": ["2"], "y": ["3"]}),
            update("b", attributes={"x": ["4"]}),
        )
        assert (found["a"]["attributes"], found["b"]["attributes"]) == ({"x": ["1"], "y": ["3"]}, {})

    def test_nor_is_it_emptied(self) -> None:
        assert one(update(attributes={"x": ["1"]}), remove(["x"]), update(attributes={"x": []}))["attributes"] == {"x": ["1"]}

    @pytest.mark.parametrize(
        ("pattern", "refused"),
        [
            ("color", {"color"}),
            ("co*", {"color", "colour", "co_or"}),
            ("*o*r", {"color", "colour", "co_or", "Color"}),
            ("colo?r", {"colour"}),
            ("co_or", {"co_or"}),
            ("50%", {"50%"}),
            ("a[b]", {"a[b]"}),
            ("back\\slash", {"back\\slash"}),
            ("*", {"color", "colour", "co_or", "50%", "a[b]", "back\\slash", "Color"}),
        ],
    )
    def test_patterns_have_two_wildcards_and_all_else_means_itself(self, pattern: str, refused: set[str]) -> None:
        names = {"color", "colour", "co_or", "50%", "a[b]", "back\\slash", "Color"}
        found = one(remove([pattern]), update(attributes={name: ["1"] for name in names}))
        assert set(found["attributes"]) == names - refused

    @pytest.mark.parametrize("kind", ["custom", "metric", "user"])
    def test_a_removal_is_of_one_type_and_one_app(self, kind: str) -> None:
        said = {"attributes": {"x": ["1"]}, "metrics": {"x": 1.0}, "user_attributes": {"x": ["1"]}}
        found = merged(remove(["x"], kind), update("a", user_id="anna", **said), update("b", app_id="blog", user_id="anna", **said))
        refused = {"custom": "attributes", "metric": "metrics", "user": "user_attributes"}[kind]
        assert {column: bool(found["a"][column]) for column in said} == {column: column != refused for column in said}
        assert all(found["b"][column] for column in said)

    def test_the_removals_are_a_view(self) -> None:
        rows = [remove(["x", "y*"]), remove(["x"])]
        expected = [{"app_id": "shop", "removed_type": "endpoint-custom-attributes", "removed_name": name} for name in ("x", "y*")]
        assert shown(None, rows, "core.attribute_removals") == expected
        assert shown(merge_batches([rows[:1]]).rows().read_all(), rows, "core.attribute_removals") == expected


def test_users_are_those_that_have_an_endpoint() -> None:
    first, last = update("a", user_id="anna", user_attributes={"x": ["1"]}, **EMAIL), update("b", user_id="anna", **EMAIL)
    rows = [first, last, update("c"), update("d", user_id="carl"), delete("d")]
    assert shown(None, rows, "core.users") == [
        {
            "app_id": "shop",
            "user_id": "anna",
            "user_attributes": {"x": ["1"]},
            "endpoint_count": 2,
            "active_endpoint_count": 1,
            "created_at": first["_appended_at"],
            "updated_at": last["_appended_at"],
        }
    ]


class TestChecks:
    """Over a snapshot into which a row was planted that merging never makes."""

    def test_an_endpoint_that_is_there_twice_is_found(self) -> None:
        states = merge_batches([[update("a", **EMAIL), update("b")]]).rows().read_all()
        check = "checks.assert_each_endpoint_once"
        assert shown(states, (), check) == []
        planted = pa.concat_tables([states, states.filter(pc.equal(states["endpoint_key"], "b"))])
        assert shown(planted, (), check) == [{"app_id": "shop", "endpoint_key": "b", "row_count": 2}]

    def test_two_active_endpoints_at_one_address_are_found(self) -> None:
        states = merge_batches([[update("a", **EMAIL), update("b", **EMAIL), update("c")]]).rows().read_all()
        check = "checks.assert_no_two_active_endpoints_share_an_address"
        assert shown(states, (), check) == []
        place = states.schema.get_field_index("endpoint_status")
        planted = states.set_column(place, "endpoint_status", pa.array(["ACTIVE"] * states.num_rows, states.schema.field(place).type))
        assert shown(planted, (), check) == [{"app_id": "shop", **EMAIL, "endpoint_count": 2, "endpoint_ids": ["a", "b"]}]


def test_more_than_fifteen_endpoints_of_a_user_stay() -> None:
    assert len(merged_rows(merge_batches([[update(f"e{number}", user_id="anna") for number in range(16)]]))) == 16


def test_a_batch_that_fails_leaves_the_state_as_it_was() -> None:
    states = merge_batches([[update(city="Rome")]])
    before, covered = merged_rows(states), states.covered()
    broken = as_updates([update(city="Oslo")]).set_column(4, "arrival_timestamp", [["no time"]])
    with pytest.raises(Exception, match="no time"):
        states.merge(broken)
    assert (merged_rows(states), states.covered()) == (before, covered)
    assert states.merge(as_updates([update(city="Oslo")])).endpoints == 1


def test_the_table_is_written_anew_when_most_of_it_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.endpoints.merge._REPLACED_MIN", 3)
    states = merge_batches([[update(f"e{number}") for number in range(4)]])
    for number in range(12):
        states.merge(as_updates([update("e1", city=f"{number}")]))
    assert [row["city"] for row in merged_rows(states)] == [None, "11", None, None]
    assert states._replaced < 4


def test_states_are_loaded_with_what_they_cover() -> None:
    states = merge_batches([[update("a", user_id="anna", user_attributes={"x": ["1"]}), update("b"), remove(["y"])]])
    states.cover(states.covered(), moment(99))
    again = merge_batches([])
    again.load(states.rows())
    assert (merged_rows(again), again.covered(), again.as_of()) == (merged_rows(states), states.covered(), moment(99))
    again.merge(as_updates([update("c", user_id="anna", attributes={"y": ["1"]})]))
    assert merged_rows(again)[2]["user_attributes"] == {"x": ["1"]}
    assert merged_rows(again)[2]["attributes"] == {}
