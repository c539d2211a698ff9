"""Updates of endpoints become rows or dead letters: what columns take, what is left over, what is refused and why, and what is redacted."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from agents.dedup.identity import ENDPOINT_UPDATES, EVENTS, Identity
from agents.dedup.window import KeyWindow, MemoryBudget, fill_window
from agents.deduplicate import Deduplicated, DedupRules, deduplicate_batch
from agents.endpoint_rows import PARSED, validate_updates
from agents.endpoint_steps import EndpointSteps
from agents.flush_report import FlushReport
from agents.land import Position, Range
from agents.redact import HASH_PREFIX, RedactRules, redact_records
from agents.validate import Validated, ValidateRules
from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.endpoint_stream import as_update_rules, build_endpoint_steps
from pipeline.event_stream import build_connection
from pipeline.stores import build_store
from schemas.records import DEAD
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.maintained import SMALL, build, run
from tests.update_records import ENDPOINT, SENDER, document, encode
from tests.validate_inputs import build_records

RULES = ValidateRules(1_000_000)
ARRIVED = dt.datetime(2026, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
DEEP = b'{"a":' * 65 + b"1" + b"}" * 65


def validate(*values: bytes | None, rules: ValidateRules = RULES, **given: Any) -> Validated:
    found = validate_updates(build_records(values, given.get("origins")), rules, given.get("client_address", "truncated"))
    assert (found.parsed.schema, found.dead.schema) == (PARSED, DEAD)
    assert found.parsed.num_rows + found.dead.num_rows == len(values)
    return found


def landed(value: Any, **given: Any) -> dict[str, Any]:
    """The one row that becomes of it; maps as dicts."""
    found = validate(encode(value), **given)
    assert found.dead["error"].to_pylist() == []
    (row,) = found.parsed.to_pylist(maps_as_pydicts="strict")
    return dict(row)


def dead(value: bytes | None, **given: Any) -> dict[str, Any]:
    """The one dead letter that becomes of it."""
    (row,) = validate(value, **given).dead.to_pylist()
    return dict(row)


# Rows


def test_a_moment_is_kept_to_the_millisecond_so_that_an_export_can_say_all_of_it() -> None:
    row = landed(document(endpoint={"EffectiveDate": "2026-01-01T10:00:00.123987Z"}))
    assert row["effective_date"] == dt.datetime(2026, 1, 1, 10, 0, 0, 123000, tzinfo=dt.UTC)


def test_every_member_of_an_endpoint_has_its_column() -> None:
    row = landed(document())
    assert {name: row[name] for name in row if not name.startswith("_")} == {
        "update_id": "update-1",
        "operation": "update",
        "app_id": "shop",
        "endpoint_id": "Phone-1",
        "arrival_timestamp": ARRIVED,
        "channel_type": "EMAIL",
        "address": "bob@example.com",
        "endpoint_status": "ACTIVE",
        "opt_out": "NONE",
        "effective_date": dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC),
        "creation_date": dt.datetime(2025, 12, 1, 10, tzinfo=dt.UTC),
        "request_id": "request-1",
        "cohort_id": 42,
        "app_version": "1.2",
        "locale": "de_DE",
        "make": "Apple",
        "model": "iPhone",
        "model_version": "15",
        "platform": "ios",
        "platform_version": "17.1",
        "timezone": "Europe/Berlin",
        "city": "Bonn",
        "country": "DE",
        "region": "NW",
        "postal_code": "53111",
        "latitude": 50.7,
        "longitude": 7.0,
        "user_id": "User-1",
        "attributes": {"interests": ["music", "sport"], "gone": [], "away": []},
        "metrics": {"visits": 3.0, "score": 1.5},
        "user_attributes": {"tier": ["gold"]},
        "removed_type": None,
        "removed_names": None,
        "client_ip": "192.0.2.0",
        "user_agent": "sdk/1",
        "sent_at": dt.datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=dt.UTC),
        "received_at": ARRIVED,
        "source": "api",
        "extra": None,
        "record_extra": None,
        "arrival_date": dt.date(2026, 1, 1),
    }
    assert (row["_row"], row["_topic_id"], row["_partition"], row["_offset"]) == (0, "topic-id", 3, 0)


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (document(operation="delete"), {"endpoint_id": "Phone-1"}),
        (document(operation="delete", user_id="User-1"), {"endpoint_id": "Phone-1", "user_id": "User-1"}),
        (document(operation="delete_user", endpoint_id=None, user_id="User-1"), {"user_id": "User-1"}),
        (
            document(operation="remove_attributes", endpoint_id=None, attribute_type="endpoint-user-attributes", names=["a*", "b"]),
            {"removed_type": "endpoint-user-attributes", "removed_names": ["a*", "b"]},
        ),
    ],
    ids=["delete", "delete_of_user", "delete_user", "remove_attributes"],
)
def test_other_operations_say_what_they_are_about_and_nothing_of_an_endpoint(update: dict[str, Any], expected: dict[str, Any]) -> None:
    row = landed(update)
    quiet = {name: None for name in ("endpoint_id", "user_id", "removed_type", "removed_names", "address", "extra", "record_extra")}
    assert {name: row[name] for name in quiet} == quiet | expected
    assert (row["operation"], row["attributes"], row["metrics"], row["user_attributes"]) == (update["operation"], {}, {}, {})


def test_what_no_column_holds_is_left_over_at_its_own_path() -> None:
    endpoint = ENDPOINT | {"Nick": "bobby", "Demographic": {"Make": "Apple", "Colour": {"of": "red"}}, "Big": 12345678901234567890.5}
    row = landed(
        document(
            endpoint=endpoint, trace={"a": [1]}, user_id="not of this operation", headwater=SENDER | {"region": "eu", "sent_at": "noon"}
        )
    )
    assert json.loads(row["extra"]) == {"Nick": "bobby", "Demographic": {"Colour": {"of": "red"}}, "Big": 12345678901234567890.5}
    assert json.loads(row["record_extra"]) == {
        "trace": {"a": [1]},
        "user_id": "not of this operation",
        "headwater": {"region": "eu", "sent_at": "noon"},
    }
    assert (row["user_id"], row["sent_at"], row["source"]) == ("User-1", None, "api")


def test_numbers_that_no_float_holds_keep_their_digits_in_what_is_left_over() -> None:
    value = encode(document()).replace(b'"ChannelType"', b'"Serial": 123456789012345678901234567890, "ChannelType"')
    (text,) = validate(value).parsed["extra"].to_pylist()
    assert text == '{"Serial":123456789012345678901234567890}'


def test_an_update_without_an_id_gets_one_of_where_its_record_was_or_came_from() -> None:
    values = [encode(document(update_id)) for update_id in ("named", None, "", None)]
    found = validate(*values, origins=[None, None, None, "old-topic/1/7"])
    assert found.parsed["update_id"].to_pylist() == ["named", "topic-id/3/1", "topic-id/3/2", "old-topic/1/7"]
    assert landed(document(update_id=7))["update_id"] == "7"  # type: ignore[arg-type]


def test_a_bad_record_costs_its_neighbours_nothing_and_each_keeps_its_place() -> None:
    values = [b"{}" if number % 3 == 1 else encode(document(f"update-{number}")) for number in range(5000)]
    found = validate(*values)
    rows = [number for number in range(5000) if number % 3 != 1]
    assert found.parsed["_row"].to_pylist() == found.parsed["_offset"].to_pylist() == rows
    assert found.parsed["update_id"].to_pylist() == [f"update-{number}" for number in rows]
    assert found.dead["_offset"].to_pylist() == [number for number in range(5000) if number % 3 == 1]


@pytest.mark.parametrize(("kept", "expected"), [("truncated", "192.0.2.0"), ("full", "192.0.2.77"), ("none", None)])
def test_of_the_senders_address_that_is_kept_which_the_setting_says(kept: str, expected: str | None) -> None:
    assert landed(document(), client_address=kept)["client_ip"] == expected


# Dead letters


def with_endpoint(**members: Any) -> bytes:
    return encode(document(endpoint=members))


@pytest.mark.parametrize(
    ("value", "reason", "error"),
    [
        (None, "empty", "The value is empty"),
        (b"garbage", "not_json", "Character 0 is not JSON"),
        (b'"text"', "not_an_object", 'The value is JSON and no object, found "text"'),
        (b'{"operation":"update","operation":"delete"}', "duplicate_key", "'operation'"),
        (b"\xff", "not_utf8", "Byte 0 is not UTF-8"),
        (DEEP, "too_deep", "at most 64 levels"),
        (encode(document()).replace(b'"visits": 3', b'"visits": 1e400'), "number_out_of_range", "1e400"),
        (b"{}", "missing_field", "Field 'operation' is missing; expected one of update, delete, delete_user, remove_attributes."),
        (encode(document(operation="upsert")), "wrong_type", "Field 'operation' is \"upsert\"; expected one of update"),
        (encode(document(operation=["update"])), "wrong_type", "Field 'operation' is [\"update\"]"),  # type: ignore[arg-type]
        (encode(document(app_id="")), "missing_field", "Field 'app_id' is empty; expected a text that is not empty."),
        (encode(document(app_id=7)), "wrong_type", "Field 'app_id' is 7; expected a text"),
        (encode(document(endpoint_id=None)), "missing_field", "Field 'endpoint_id' is missing"),
        (encode(document(operation="delete", endpoint_id=None)), "missing_field", "Field 'endpoint_id' is missing"),
        (encode(document(operation="delete_user", endpoint_id=None)), "missing_field", "Field 'user_id' is missing"),
        (encode(document(update_id={"a": 1})), "wrong_type", "Field 'update_id' is {\"a\":1}; expected a text"),  # type: ignore[arg-type]
        (encode(document(endpoint=[])), "wrong_type", "Field 'endpoint' is []; expected an object"),
        (encode(document(endpoint=None) | {"endpoint": None}), "missing_field", "Field 'endpoint' is missing; expected an object"),
        (encode(document(operation="remove_attributes", attribute_type="colours", names=["a"])), "wrong_type", "Field 'attribute_type' is \"colours\""),
        (encode(document(operation="remove_attributes", attribute_type="endpoint-user-attributes", names=[])), "wrong_type", "Field 'names' is []"),
        (encode(document(operation="remove_attributes", attribute_type="endpoint-user-attributes", names=["a", 1])), "wrong_type", "Field 'names' is [\"a\",1]"),
        (encode(document(arrival_timestamp="now")), "bad_timestamp", "Field 'arrival_timestamp' is \"now\"; expected a whole number of milliseconds"),
        (encode(document(arrival_timestamp=253_402_300_800_000)), "bad_timestamp", "253402300800000; expected"),
        (encode(document(arrival_timestamp=-2_208_988_800_001)), "bad_timestamp", "-2208988800001; expected"),
        (with_endpoint(ChannelType="FAX"), "wrong_type", "Field 'endpoint.ChannelType' is \"FAX\"; expected one of PUSH, GCM"),
        (with_endpoint(Demographic={"Locale": 5}), "wrong_type", "Field 'endpoint.Demographic.Locale' is 5; expected a text."),
        (with_endpoint(Attributes={"a": "b"}), "wrong_type", "Field 'endpoint.Attributes.a' is \"b\"; expected a list of texts."),
        (with_endpoint(Attributes={"a": [1]}), "wrong_type", "Field 'endpoint.Attributes.a' is [1]; expected a list of texts."),
        (with_endpoint(Metrics={"a": "1"}), "wrong_type", "Field 'endpoint.Metrics.a' is \"1\"; expected a number."),
        (with_endpoint(Location={"Latitude": 91}), "wrong_type", "Field 'endpoint.Location.Latitude' is 91; expected degrees"),
        (with_endpoint(EffectiveDate="soon"), "bad_timestamp", "Field 'endpoint.EffectiveDate' is \"soon\"; expected a moment"),
        (with_endpoint(CohortId="0000000001000"), "wrong_type", "Field 'endpoint.CohortId' is \"0000000001000\"; expected a number from 0 to 99"),
    ],
)  # fmt: skip
def test_what_is_no_update_is_a_dead_letter_that_says_why(value: bytes | None, reason: str, error: str) -> None:
    beside = encode(document("valid"))
    found = validate(beside, value, beside)
    assert found.parsed["_offset"].to_pylist() == [0, 2]
    (letter,) = found.dead.to_pylist()
    assert (letter["reason"], letter["value"], letter["_offset"]) == (reason, value, 1)
    assert error in letter["error"]


@pytest.mark.parametrize("moment", [-2_208_988_800_000, 253_402_300_799_999])
def test_a_clock_at_the_borders_lands(moment: int) -> None:
    row = landed(document(arrival_timestamp=moment))
    assert row["arrival_timestamp"] == dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=moment)


def test_a_dead_letter_says_which_update_it_was() -> None:
    letter = dead(encode(document(endpoint=7)))
    assert {name: letter[name] for name in ("event_id", "event_type", "app_id", "endpoint_id", "event_timestamp")} == {
        "event_id": "update-1",
        "event_type": "update",
        "app_id": "shop",
        "endpoint_id": "Phone-1",
        "event_timestamp": None,
    }


def test_a_message_of_the_largest_size_lands_and_one_byte_more_keeps_no_bytes() -> None:
    value = encode(document())
    assert validate(value, rules=ValidateRules(len(value))).dead.num_rows == 0
    letter = dead(value, rules=ValidateRules(len(value) - 1))
    assert (letter["reason"], letter["value"], letter["value_bytes"]) == ("too_large", None, len(value))


# Redaction


def redacted(value: bytes, removed: Sequence[str] = (), hashed: Sequence[str] = ()) -> Validated:
    rules = as_update_rules(RedactRules(frozenset(removed), frozenset(hashed), b"a secret"))
    return validate_updates(redact_records(build_records([value]), rules), ValidateRules(1_000_000, keeps_unreadable=False), "truncated")


def test_redacted_names_are_removed_and_hashed_wherever_an_update_has_them() -> None:
    found = redacted(encode(document()), removed=["address", "interests", "visits"], hashed=["user_id", "tier"])
    (row,) = found.parsed.to_pylist(maps_as_pydicts="strict")
    assert (row["address"], row["metrics"]) == (None, {"score": 1.5})
    assert row["attributes"] == {"gone": [], "away": []}
    assert row["user_id"].startswith(HASH_PREFIX)
    (tier,) = row["user_attributes"]["tier"]
    assert tier.startswith(HASH_PREFIX)
    other = redacted(encode(document(operation="delete_user", endpoint_id=None, user_id="User-1")), hashed=["user_id"])
    assert other.parsed["user_id"].to_pylist() == [row["user_id"]]


@pytest.mark.parametrize("name", ["latitude", "channel_type", "opt_out", "cohort_id", "effective_date", "endpoint_status", "visits"])
def test_where_a_hash_cannot_stand_a_hashed_name_is_removed_and_the_update_lands(name: str) -> None:
    found = redacted(encode(document()), hashed=[name])
    (row,) = found.parsed.to_pylist(maps_as_pydicts="strict")
    assert row["metrics"].get("visits") is None if name == "visits" else row[name] is None
    assert row["address"] == "bob@example.com"


def test_a_dead_letter_holds_and_says_nothing_that_redaction_keeps_back() -> None:
    letters = [
        *redacted(encode(document(endpoint=ENDPOINT | {"OptOut": "x"})), removed=["address"]).dead.to_pylist(),
        *redacted(b'{"Address":"bob@example.com",', removed=["address"]).dead.to_pylist(),
    ]
    assert [letter["reason"] for letter in letters] == ["wrong_type", "not_json"]
    assert all(b"bob@" not in (letter["value"] or b"") and "bob@" not in letter["error"] for letter in letters)
    assert letters[1]["value"] is None


def test_a_key_that_holds_an_updates_id_goes_with_it() -> None:
    rules = as_update_rules(RedactRules(frozenset({"update_id"})))
    found = redact_records(build_records([encode(document())]), rules)
    assert found["key"].to_pylist() == [None]
    assert redact_records(build_records([encode(document())]), RedactRules(frozenset({"x"})))["key"].to_pylist() == [b"shop/ep-0"]


# Resends


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with build_connection() as found:
        yield found


def judge(
    con: duckdb.DuckDBPyConnection, window: KeyWindow, updates: Sequence[dict[str, Any]], identity: Identity = ENDPOINT_UPDATES
) -> Deduplicated:
    records = build_records([encode(update) for update in updates])
    parsed = validate_updates(records, RULES, "truncated").parsed
    return deduplicate_batch(con, parsed, records, {3: window}, DedupRules(3600, keeps_bytes=True), identity)


@pytest.mark.parametrize(
    ("other", "is_duplicate"),
    [
        (document(), True),
        (document(endpoint_id="pHONE-1", endpoint={"OptOut": "ALL"}, arrival_timestamp=1), True),
        (document("update-2"), False),
        (document(operation="delete"), False),
        (document(app_id="bank"), False),
        (document(endpoint_id="Phone-2"), False),
    ],
    ids=["the same", "other case and content", "other id", "other operation", "other app", "other endpoint"],
)
def test_an_update_is_known_by_app_endpoint_id_and_operation(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, other: dict[str, Any], is_duplicate: bool
) -> None:
    window = KeyWindow(tmp_path, MemoryBudget(1 << 20))
    found = judge(con, window, [document(), other])
    assert (found.first.num_rows, found.dead.num_rows) == (2 - is_duplicate, int(is_duplicate))
    # The same when the first had landed before.
    fill_window(con, window, [ENDPOINT_UPDATES.as_key_table(judge(con, window, [document()]).first)])
    assert judge(con, window, [other]).dead.num_rows == int(is_duplicate)
    if is_duplicate:
        (letter,) = found.dead.to_pylist()
        assert letter["error"].startswith(
            "the same app_id, endpoint_id, update_id and operation as offset 0 of this partition, appended at 2026-01-01T"
        )
        assert [letter[name] for name in ("reason", "event_id", "event_type", "app_id")] == ["duplicate", "update-1", "update", "shop"]
        assert letter["value"] == encode(other)


def test_ids_of_any_alphabet_compare_in_lower_case_and_none_stays_none(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    window = KeyWindow(tmp_path, MemoryBudget(1 << 20))
    whole = [document("one", "ÄRGER-É"), document("one", "ärger-é"), document("two", None, "delete_user", user_id="u")]
    found = judge(con, window, [*whole, document("two", None, "delete_user", user_id="u")])
    assert found.first["_offset"].to_pylist() == [0, 2]


def test_events_are_put_to_the_window_as_they_are() -> None:
    table = pa.table({"event_id": ["e"]})
    assert EVENTS.as_key_table(table) is table
    assert EVENTS.parts == "app_id, endpoint_id, event_id, event_type and event_timestamp"


# With a lake


class Worker:
    """The steps of a worker that has just started, over a real table; it lands one record after the other."""

    def __init__(self, settings: Settings, start: int) -> None:
        self.table = LakeTable(build_store(settings), load_table("endpoint_updates"))
        self.steps: EndpointSteps = build_endpoint_steps(settings, self.table, MemoryBudget(10_000_000))
        self.table.ensure()
        self.steps.windows.assign("topic-id", {3: start}, 6)
        self.next = start

    def take(self, *values: bytes) -> list[str]:
        """Judge and land a batch; the reasons of its dead letters."""
        place = Position("topic-id", 3)
        records = build_records([b"{}"] * self.next + list(values)).slice(self.next)
        one = Range(place, self.next, self.next + len(values), len(values))
        # As landing does before it asks for a judgement.
        self.table.refresh()
        stepped = self.steps.run(records, [one], FlushReport())
        assert stepped.rows.schema == load_table("endpoint_updates").arrow
        self.table.commit(self.table.upload(stepped.rows), {place.app_id("endpoint_updates"): one.end})
        self.steps.windows.add(one, stepped.keys.get(3))
        self.next = one.end
        found: list[str] = stepped.dead["reason"].to_pylist()
        return found


def test_a_worker_that_starts_anew_knows_from_the_table_which_updates_landed(settings: Settings) -> None:
    first = Worker(settings, 0)
    assert first.take(encode(document()), encode(document("update-2"))) == []
    assert first.take(encode(document())) == ["duplicate"]
    second = Worker(settings, 3)
    assert second.take(encode(document("update-2", "PHONE-1"))) == ["duplicate"]
    assert second.take(encode(document("update-3"))) == []
    # What another worker lands meanwhile is caught up with.
    first.steps.windows.assign("topic-id", {3: 5}, 6)
    first.next = 5
    assert first.take(encode(document("update-3"))) == ["duplicate"]


def test_with_deduplication_off_every_copy_lands(settings: Settings) -> None:
    worker = Worker(settings.model_copy(update={"dedup_enabled": False}), 0)
    assert worker.take(encode(document()), encode(document())) == []
    worker.table.refresh()
    assert worker.table.dataset().count_rows() == 2


def test_compaction_keeps_every_update_and_puts_those_of_one_endpoint_together(settings: Settings) -> None:
    worker = Worker(settings, 0)
    for number in range(6):
        worker.take(*[encode(document(f"update-{number}-{phone}", f"Phone-{phone}")) for phone in range(5)])
    before = contents(settings)
    report = run(build(settings, replace(SMALL, files_max=2)))["endpoint_updates"]
    assert (report["failure"], report["files"]) == (None, 2)
    assert report["rows_compacted"] >= 25
    assert contents(settings) == before
    worker.table.refresh()
    for file in worker.table.dataset().get_fragments():
        phones = file.to_table(columns=["endpoint_id"])["endpoint_id"].to_pylist()
        assert phones == sorted(phones)
    # Another engine reads the compacted maps of lists as the schema says.
    maps = before[0][1:]
    assert maps == (
        [("interests", ["music", "sport"]), ("gone", []), ("away", [])],
        [("visits", 3.0), ("score", 1.5)],
        [("tier", ["gold"])],
    )


def contents(settings: Settings) -> list[tuple[Any, ...]]:
    """Ids and maps of every row, as `headwater sql` reads them."""
    with open_reader(settings) as reader:
        rows = reader.rows("select update_id, attributes, metrics, user_attributes from staging.endpoint_updates order by all")
    return [(row[0], *[list(each.items()) for each in row[1:]]) for row in rows]
