"""The step `validate`: every class of bad message, its reason, and its neighbours."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from agents import validate
from agents.parsing.exact_json import DEPTH_MAX
from agents.parsing.fit import MS_MAX, MS_MIN
from agents.parsing.read_columns import Mask, read_columns
from agents.parsing.record_shape import Place, Shape, load_shape
from agents.validate import ValidateRules, validate_batch, validate_strictly
from schemas.records import DEAD, PARSED, Reason
from tests.validate_inputs import EVENT, FACETS, build_records, event, with_raw

RULES = ValidateRules(message_bytes_max=1_000_000)


def parse_one(value: bytes | None) -> dict[str, Any]:
    """The parsed row of one value, which must land; both ways must say the same."""
    records = build_records([value])
    quick, strict = validate_batch(records, RULES), validate_strictly(records, RULES)
    assert quick.dead.num_rows == 0, quick.dead["error"].to_pylist()
    assert quick.parsed.equals(strict.parsed)
    (row,) = quick.parsed.to_pylist()
    return dict(row)


def bury_one(value: bytes | None, rules: ValidateRules = RULES) -> dict[str, Any]:
    """The dead letter of one value; both ways must say the same."""
    records = build_records([value])
    quick, strict = validate_batch(records, rules), validate_strictly(records, rules)
    assert quick.parsed.num_rows == 0
    assert quick.dead.equals(strict.dead)
    (row,) = quick.dead.to_pylist()
    return dict(row)


BAD: dict[str, tuple[bytes | None, Reason, str]] = {
    "no value": (None, Reason.EMPTY, "empty"),
    "no bytes": (b"", Reason.EMPTY, "empty"),
    "white space only": (b" \n", Reason.NOT_JSON, "one JSON object"),
    "garbage": (b"garbage", Reason.NOT_JSON, "'garbage'"),
    "cut off": (event()[:300], Reason.NOT_JSON, "expected one JSON object"),
    "two objects": (event() + event(), Reason.NOT_JSON, "Extra data"),
    "trailing garbage": (event() + b"x", Reason.NOT_JSON, "Extra data"),
    "trailing comma": (event()[:-1] + b",}", Reason.NOT_JSON, "property name"),
    "comment": (event()[:-1] + b"/* */}", Reason.NOT_JSON, "delimiter"),
    "byte order mark": (b"\xef\xbb\xbf" + event(), Reason.NOT_JSON, "byte order mark"),
    "NaN": (with_raw(b'"x":NaN'), Reason.NOT_JSON, "NaN"),
    "NaN in metrics": (event(metrics={"price": float("nan")}), Reason.NOT_JSON, "NaN"),
    "minus Infinity": (with_raw(b'"x":-Infinity'), Reason.NOT_JSON, "-Infinity"),
    "control character": (with_raw(b'"x":"a\x01b"'), Reason.NOT_JSON, "control character"),
    "bare NUL": (with_raw(b'"x":"a\x00b"'), Reason.NOT_JSON, "control character"),
    "high surrogate alone": (with_raw(b'"x":"\\ud83d"'), Reason.NOT_JSON, "surrogate"),
    "low surrogate alone": (with_raw(b'"x":"\\uDE00"'), Reason.NOT_JSON, "surrogate"),
    "surrogate in a name": (with_raw(b'"\\ud83d":1'), Reason.NOT_JSON, "surrogate"),
    "leading zero": (with_raw(b'"x":01'), Reason.NOT_JSON, "delimiter"),
    "latin-1": (with_raw(b'"x":"caf\xe9"'), Reason.NOT_UTF8, "0xe9"),
    "overlong": (with_raw(b'"x":"\xc0\xaf"'), Reason.NOT_UTF8, "0xc0"),
    "surrogate as bytes": (with_raw(b'"x":"\xed\xa0\x80"'), Reason.NOT_UTF8, "0xed"),
    "utf-16": (event().decode().encode("utf-16"), Reason.NOT_UTF8, "strict UTF-8"),
    "65 deep": (with_raw(b'"x":' + b"[" * 64 + b"]" * 64), Reason.TOO_DEEP, "at most 64"),
    "100,000 arrays deep": (with_raw(b'"x":' + b"[" * 100_000 + b"]" * 100_000), Reason.TOO_DEEP, "at most 64"),
    "100,000 objects deep": (with_raw(b'"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000), Reason.TOO_DEEP, "at most 64"),
    "100,000 deep, never closed": (b"[" * 100_000, Reason.TOO_DEEP, "at most 64"),
    "name twice": (with_raw(b'"event_type":"cart.add"'), Reason.DUPLICATE_KEY, "'event_type'"),
    "attribute twice": (event().replace(b'"plan":', b'"sku":"SKU-2","plan":'), Reason.DUPLICATE_KEY, "'sku'"),
    "name twice within a list": (with_raw(b'"x":[{"a":1,"a":1}]'), Reason.DUPLICATE_KEY, "'a'"),
    "name twice, once escaped": (with_raw(b'"event\\u005ftype":"cart.add"'), Reason.DUPLICATE_KEY, "'event_type'"),
    "5,000 digits": (with_raw(b'"x":' + b"9" * 5000), Reason.NUMBER_OUT_OF_RANGE, "5000 characters"),
    "310 digits": (with_raw(b'"x":-' + b"9" * 310), Reason.NUMBER_OUT_OF_RANGE, "1.797e308"),
    "exponent": (with_raw(b'"x":1e309'), Reason.NUMBER_OUT_OF_RANGE, "1e309"),
    "exponent in metrics": (event().replace(b"9.5", b"9.5e999"), Reason.NUMBER_OUT_OF_RANGE, "9.5e999"),
    "array": (b"[" + event() + b"]", Reason.NOT_AN_OBJECT, "no object"),
    "text": (b'"event"', Reason.NOT_AN_OBJECT, '"event"'),
    "null": (b"null", Reason.NOT_AN_OBJECT, "null"),
    "number": (b"1", Reason.NOT_AN_OBJECT, "1"),
    "empty object": (b"{}", Reason.MISSING_FIELD, "'event_type' is missing"),
    "no event_type": (event(event_type=...), Reason.MISSING_FIELD, "'event_type' is missing"),
    "event_type null": (event(event_type=None), Reason.MISSING_FIELD, "'event_type' is missing"),
    "event_type empty": (event(event_type=""), Reason.MISSING_FIELD, "'event_type' is empty"),
    "event_type a number": (event(event_type=5), Reason.WRONG_TYPE, "'event_type' is 5; expected a text"),
    "event_type an object": (event(event_type={"name": "cart.add"}), Reason.WRONG_TYPE, '{"name":"cart.add"}'),
    "event_type a long list": (event(event_type=["x" * 50] * 50), Reason.WRONG_TYPE, "characters)"),
    "no application": (event(application=...), Reason.MISSING_FIELD, "'application.app_id' is missing"),
    "application zero": (event(application=0), Reason.WRONG_TYPE, "'application' is 0"),
    "application a text": (event(application="shop"), Reason.WRONG_TYPE, "'application' is \"shop\""),
    "no app_id": (event(application={"title": "Shop"}), Reason.MISSING_FIELD, "'application.app_id' is missing"),
    "app_id empty": (event(application={"app_id": ""}), Reason.MISSING_FIELD, "'application.app_id' is empty"),
    "app_id a number": (event(application={"app_id": 5}), Reason.WRONG_TYPE, "'application.app_id' is 5"),
    "no event_timestamp": (event(event_timestamp=...), Reason.MISSING_FIELD, "'event_timestamp' is missing"),
    "microseconds": (event(event_timestamp=1767225600000000), Reason.BAD_TIMESTAMP, "looks like microseconds"),
    "nanoseconds": (event(event_timestamp=1767225600000000000), Reason.BAD_TIMESTAMP, "looks like nanoseconds"),
    "seconds with a fraction": (event(event_timestamp=1767225600.25), Reason.BAD_TIMESTAMP, "looks like seconds"),
    "date as text": (event(event_timestamp="2026-01-01T00:00:00Z"), Reason.BAD_TIMESTAMP, "this is a text"),
    "milliseconds as text": (event(event_timestamp="1767225600000"), Reason.BAD_TIMESTAMP, "this is a text"),
    "true as time": (event(event_timestamp=True), Reason.BAD_TIMESTAMP, "is true"),
    "before 1900": (event(event_timestamp=MS_MIN - 1), Reason.BAD_TIMESTAMP, "from 1900 to 9999"),
    "after 9999": (event(event_timestamp=MS_MAX + 1), Reason.BAD_TIMESTAMP, "from 1900 to 9999"),
    "fraction": (event(event_timestamp=1767225600000.5), Reason.BAD_TIMESTAMP, "1767225600000.5"),
    "tiny": (event().replace(b"1767225600000,", b"1e-7,", 1), Reason.BAD_TIMESTAMP, "1e-7"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_message_becomes_a_dead_letter_with_its_reason_and_what_was_found(name: str) -> None:
    value, reason, found = BAD[name]
    dead = bury_one(value)
    assert dead["reason"] == reason
    assert found in dead["error"]
    assert "expected" in dead["error"]
    assert len(dead["error"]) <= 300
    assert (dead["value"], dead["key"]) == (value, b"shop/ep-0")


def test_bad_neighbours_of_every_class_cost_no_event() -> None:
    values: list[bytes | None] = []
    for place, (bad, _, _) in enumerate(BAD.values()):
        values += [event(event_id=f"before-{place}"), bad, event(event_id=f"after-{place}", unknown=place)]
    values.append(event(note="x" * RULES.message_bytes_max))
    validated = validate_batch(build_records(values), RULES)
    assert validated.parsed["_row"].to_pylist() == [row for row in range(len(values) - 1) if row % 3 != 1]
    assert validated.dead["_offset"].to_pylist() == [row for row in range(len(values)) if row % 3 == 1 or row == len(values) - 1]
    assert validated.dead["reason"].to_pylist() == [reason for _, reason, _ in BAD.values()] + [Reason.TOO_LARGE]
    assert set(validated.parsed["event_id"].to_pylist()) == {f"{when}-{place}" for when in ("before", "after") for place in range(len(BAD))}
    assert (validated.parsed.schema, validated.dead.schema) == (PARSED, DEAD)


def test_message_at_the_limit_lands_and_one_byte_more_keeps_no_bytes() -> None:
    value = event()
    records = build_records([value])
    at_limit, beyond = ValidateRules(len(value)), ValidateRules(len(value) - 1)
    assert validate_batch(records, at_limit).parsed.num_rows == 1
    dead = bury_one(value, beyond)
    assert (dead["reason"], dead["value"], dead["value_bytes"], dead["key"]) == (Reason.TOO_LARGE, None, len(value), b"shop/ep-0")
    assert dead["_payload_hash"] == records["_payload_hash"][0].as_py()
    assert "MESSAGE_BYTES_MAX" in dead["error"]


def test_nesting_at_the_limit_lands_whole_in_extra() -> None:
    deep = b"[" * (DEPTH_MAX - 1) + b"]" * (DEPTH_MAX - 1)
    assert parse_one(with_raw(b'"x":' + deep))["extra"] == '{"x":' + deep.decode() + "}"
    brackets = "[{" * 5000
    assert json.loads(parse_one(event(attributes={"text": brackets}, x=[[]] * 100))["extra"]) == {"x": [[]] * 100}


def test_unreadable_message_keeps_neither_bytes_nor_words_while_redaction_is_on() -> None:
    rules = ValidateRules(RULES.message_bytes_max, keeps_unreadable=False)
    secret = "bob@example.com"
    for value in (
        f'{{"email":"{secret}"',
        f'"{secret}"',
        f'{{"{secret}":1,"{secret}":2}}',
        f'{{"a":1{secret}}}',
        f'["{secret}"]',
        f'{{"email":"{secret}","n":1e999}}',
    ):
        dead = bury_one(value.encode(), rules)
        assert (dead["value"], dead["key"], dead["value_bytes"]) == (None, None, len(value))
        assert secret not in str(dead)
        assert secret in str(bury_one(value.encode())["value"])
    readable = bury_one(event(event_type=...), rules)
    assert (readable["value"], readable["key"]) == (event(event_type=...), b"shop/ep-0")


def test_dead_letter_names_what_could_be_read() -> None:
    dead = bury_one(event(event_timestamp="yesterday"))
    assert [dead[name] for name in ("event_id", "event_type", "app_id", "endpoint_id", "event_timestamp")] == [
        "id-1",
        "cart.add",
        "shop",
        "ep-1",
        None,
    ]
    dead = bury_one(event(event_type=..., event_id="", application="shop"))
    assert (dead["event_id"], dead["app_id"]) == (None, None)
    assert dead["event_timestamp"].timestamp() == 1767225600


def test_every_column_gets_what_was_sent() -> None:
    row = parse_one(event())
    row |= {name: None if value is None else round(value.timestamp() * 1000) for name, value in row.items() if hasattr(value, "timestamp")}
    assert row == {
        "_row": 0,
        "event_id": "id-1",
        "event_type": "cart.add",
        "event_timestamp": 1767225600000,
        "arrival_timestamp": 1767225601200,
        "event_version": "3.1",
        "app_id": "shop",
        "app_cognito_identity_pool_id": "us-east-1:x",
        "app_package_name": "com.example.shop",
        "app_title": "Shop",
        "app_version_name": "2.5",
        "app_version_code": "42",
        "sdk_name": "sdk",
        "sdk_version": "1.2.3",
        "endpoint_id": "ep-1",
        "cognito_id": "us-east-1:y",
        "locale_code": "en_US",
        "locale_country": "US",
        "locale_language": "en",
        "make": "apple",
        "model": "iPhone",
        "platform": "ios",
        "platform_version": "17.1",
        "session_id": "s1",
        "session_start_timestamp": 1767225300000,
        "session_stop_timestamp": 1767225600000,
        "attributes": [("sku", "SKU-1"), ("plan", "gold")],
        "metrics": [("price", 9.5), ("quantity", 2.0)],
        "endpoint": '{"ChannelType":"EMAIL","User":{"UserId":"u1"}}',
        "legacy_identifier": "app1",
        "aws_account_id": "111122223333",
        "facets": None,
        "client_ip": "192.0.2.1",
        "user_agent": "UA",
        "sent_at": 1767225600500,
        "received_at": 1767225600600,
        "source": "test",
        "extra": None,
        "_topic_id": "topic-id",
        "_partition": 3,
        "_offset": 0,
        "_appended_at": 1767225602000,
        "_payload_hash": row["_payload_hash"],
    }


def test_ordinary_events_need_no_strict_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(validate, "read_strictly")
    spaced = json.dumps(EVENT, ensure_ascii=False).encode()
    message = event(device={"platform": {}}, session={}, application={"app_id": "shop", "sdk": {}}, attributes={"note": 'say "hi": ok'})
    bare = event(device=..., session=..., metrics=..., client_context=..., headwater=..., attributes={})
    mail = event(facets=FACETS)
    assert validate_batch(build_records([event(), spaced, message, bare, mail]), RULES).parsed.num_rows == 5


def test_id_is_derived_where_none_was_sent_and_from_the_origin_of_a_replay() -> None:
    values = [event(event_id=...), event(event_id=""), event(event_id=None), event(event_id={"a": 1}), event(event_id=7), event()]
    records = build_records([*values, values[0]], origins=[None] * 6 + ["old-topic/1/5"])
    assert validate_batch(records, RULES).parsed["event_id"].to_pylist() == [
        "topic-id/3/0",
        "topic-id/3/1",
        "topic-id/3/2",
        "topic-id/3/3",
        "7",
        "id-1",
        "old-topic/1/5",
    ]


def test_rows_are_counted_over_the_whole_table_however_it_is_cut() -> None:
    values = [event(event_id=f"id-{place}", unknown=place) if place % 2 else b"garbage" for place in range(10)]
    values += [event(event_id=f"id-{place}") for place in range(10, 25)]
    whole = validate_batch(build_records(values), RULES)
    cut = validate_batch(pa.concat_tables([build_records(values).slice(start, 5) for start in range(0, 25, 5)]), RULES)
    assert cut.parsed.combine_chunks().equals(whole.parsed.combine_chunks())
    assert cut.dead.combine_chunks().equals(whole.dead.combine_chunks())
    assert whole.parsed["_row"].to_pylist() == [1, 3, 5, 7, 9, *range(10, 25)]


def test_no_records_give_empty_tables() -> None:
    validated = validate_batch(build_records([]), RULES)
    assert validated.parsed.equals(PARSED.empty_table())
    assert validated.dead.equals(DEAD.empty_table())


def test_poll_of_a_million_records_is_sorted_whole() -> None:
    small = b'{"event_id":"i","event_type":"t","event_timestamp":1767225600000,"application":{"app_id":"a"}}'
    one = build_records([small, b"garbage"]).slice(0, 1)
    records = one.take(pa.array([0] * 1_000_000, pa.int32()))
    validated = validate_batch(records, RULES)
    assert (validated.parsed.num_rows, validated.dead.num_rows) == (1_000_000, 0)
    assert validated.parsed["_row"][999_999].as_py() == 999_999


def test_what_the_compiled_reader_alone_does_not_take_is_a_dead_letter_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_nothing(values: pa.Array, is_wanted: Mask, is_canonical: bool = False) -> tuple[pa.Table, Mask]:
        return read_columns(values, np.zeros(len(values), np.bool_), is_canonical)

    monkeypatch.setattr(validate, "read_columns", read_nothing)
    validated = validate_batch(build_records([event()]), RULES)
    assert validated.parsed.num_rows == 0
    assert validated.dead["error"].to_pylist() == [validate._UNREAD]


KEPT: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]] = {
    "unknown names": (
        {"new": {"a": [1, 2.50]}, "device": {"maker": "x"}},
        {"make": None},
        {"new": {"a": [1, 2.5]}, "device": {"maker": "x"}},
    ),
    "names of another case": ({"Event_Type": "x"}, {"event_type": "cart.add"}, {"Event_Type": "x"}),
    "number and literal as text": ({"event_version": 3.1, "awsAccountId": True}, {"event_version": "3.1", "aws_account_id": "true"}, None),
    "object as text": ({"event_version": {"a": 1}}, {"event_version": None}, {"event_version": {"a": 1}}),
    "empty object as text": ({"awsAccountId": {}}, {"aws_account_id": None}, {"awsAccountId": {}}),
    "list as text": ({"event_version": []}, {"event_version": None}, {"event_version": []}),
    "null as text": ({"event_version": None}, {"event_version": None}, None),
    "text as object": ({"device": "iPhone"}, {"make": None}, {"device": "iPhone"}),
    "null as object": ({"device": None, "session": None}, {"make": None}, None),
    "list as object": ({"session": [1]}, {"session_id": None}, {"session": [1]}),
    "attributes of all types": (
        {"attributes": {"a": 1, "b": True, "c": {"d": [1]}, "e": None, "f": ""}},
        {"attributes": [("a", "1"), ("b", "true"), ("c", '{"d":[1]}'), ("f", "")]},
        {"attributes": {"e": None}},
    ),
    "attributes a text": ({"attributes": "x"}, {"attributes": []}, {"attributes": "x"}),
    "attributes null": ({"attributes": None, "metrics": None}, {"attributes": [], "metrics": []}, None),
    "metrics of all types": (
        {"metrics": {"a": "9.5", "b": "1e3", "c": "x", "d": True, "e": None, "f": {"g": 1}, "h": 2, "i": " 1", "j": "NaN", "k": "1e999"}},
        {"metrics": [("a", 9.5), ("b", 1000.0), ("h", 2.0)]},
        {"metrics": {"c": "x", "d": True, "e": None, "f": {"g": 1}, "i": " 1", "j": "NaN", "k": "1e999"}},
    ),
    "control characters in a document": (
        {"facets": {"a": "\0\x01\x1f", "b\x02": ["\x03"]}},
        {"facets": '{"a":"\\u0000\\u0001\\u001f","b\\u0002":["\\u0003"]}'},
        None,
    ),
    "metrics a list": ({"metrics": [1]}, {"metrics": []}, {"metrics": [1]}),
    "endpoint an object": (
        {"client_context": {"custom": {"endpoint": {"User": {"UserId": "u1"}}, "cart": "c1"}, "env": {"locale": "x"}}},
        {"endpoint": '{"User":{"UserId":"u1"}}'},
        {"client_context": {"custom": {"cart": "c1"}, "env": {"locale": "x"}}},
    ),
    "endpoint a list": (
        {"client_context": {"custom": {"endpoint": [1]}}},
        {"endpoint": None},
        {"client_context": {"custom": {"endpoint": [1]}}},
    ),
    "facets": ({"facets": {"email_channel": {"open": {"ip": "é"}}}}, {"facets": '{"email_channel":{"open":{"ip":"é"}}}'}, None),
    "facets a text": ({"facets": "x"}, {"facets": None}, {"facets": "x"}),
    "another clock that does not fit": (
        {"arrival_timestamp": "soon", "session": {"session_id": "s1", "start_timestamp": 1e300}},
        {"arrival_timestamp": None, "session_id": "s1", "session_start_timestamp": None},
        {"arrival_timestamp": "soon", "session": {"start_timestamp": 1e300}},
    ),
    "NUL as an escape": ({"attributes": {"a": "x\x00y"}, "n": "\x00"}, {"attributes": [("a", "x\x00y")]}, {"n": "\x00"}),
    "names that are empty or odd": (
        {"": "x", 'a"': "y", "b\\": "z", "attributes": {"": "v", 'q":': "w"}},
        {"attributes": [("", "v"), ('q":', "w")]},
        {"": "x", 'a"': "y", "b\\": "z"},
    ),
    "a thousand new names": ({f"new_{place}": place for place in range(1000)}, {}, {f"new_{place}": place for place in range(1000)}),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_does_not_fit_a_column_is_kept_in_extra_at_its_own_path(name: str) -> None:
    changes, columns, extra = KEPT[name]
    for value in (event(**changes), json.dumps(EVENT | changes, indent=2).encode()):
        row = parse_one(value)
        assert {column: row[column] for column in columns} == columns
        assert (None if row["extra"] is None else json.loads(row["extra"])) == extra


def test_numbers_keep_their_literal_in_extra_and_in_texts() -> None:
    row = parse_one(
        with_raw(b'"a":1.50,"b":-0,"c":123456789012345678901234567890,"d":1E+2,"client":{"client_id":1.50,"cognito_id":-0}').replace(
            b'"client":{"client_id":"ep-1","cognito_id":"us-east-1:y"},', b""
        ),
    )
    assert row["extra"] == '{"a":1.50,"b":0,"c":123456789012345678901234567890,"d":1E+2}'
    assert (row["endpoint_id"], row["cognito_id"]) == ("1.50", "0")


def test_clock_may_be_a_whole_float_and_reaches_both_ends() -> None:
    for literal, expected in (
        (b"1.7e12", 1.7e12),
        (b"1700000000000.0", 1.7e12),
        (b"%d" % MS_MIN, MS_MIN),
        (b"%d" % MS_MAX, MS_MAX),
        (b"-0", 0),
    ):
        row = parse_one(event().replace(b'"event_timestamp":1767225600000', b'"event_timestamp":' + literal))
        assert pa.scalar(row["event_timestamp"], pa.timestamp("us", tz="UTC")).value == expected * 1000


def test_every_place_of_the_stream_record_has_a_column_of_its_own() -> None:
    def columns(shape: Shape) -> Iterator[str]:
        for place in shape.values():
            if isinstance(place, Place):
                yield place.column
            else:
                yield from columns(place)

    found = list(columns(load_shape()))
    assert len(found) == len(set(found))
    assert set(found) == {name for name in PARSED.names if not name.startswith("_")} - {"extra"}
