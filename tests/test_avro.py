"""Avro on the wire: the same event lands alike as JSON and as Avro, and what is no datum of its schema is a dead letter with its bytes."""

import io
import json
import math
import random
import re
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.avro.datums import check_datums, read_document, write_documents
from agents.avro.schemas import OURS, AvroSchemas, load_known, name_fingerprint
from agents.avro.writer_schema import SchemaError, fingerprint, read_schema
from agents.decode_avro import decode_records
from agents.event_steps import Read, read_records
from agents.flush_report import FlushReport
from agents.native import build, library
from agents.parsing.exact_json import Unreadable
from pipeline.config import load_settings
from pipeline.event_stream import build_avro_schemas, build_event_rules
from schemas.errors import SettingError
from schemas.records import Reason
from schemas.tables import FOLDER
from tests.avro_records import OBJECT_HEAD, STREAM_RECORD, as_framed, as_object, varint, write_datum
from tests.validate_inputs import EVENT, FACETS, build_records, event

RULES = build_event_rules(load_settings())
EXAMPLES = sorted((FOLDER / "examples").glob("*.json"))
# Of the Avro project's own tests (share/test/data/schema-tests.txt): canonical form and its CRC-64-AVRO as a signed number.
FINGERPRINTS = {
    '"null"': 7195948357588979594,
    '"boolean"': -6970731678124411036,
    '"int"': 8247732601305521295,
    '"long"': -3434872931120570953,
    '"float"': 5583340709985441680,
    '"double"': -8181574048448539266,
    '"bytes"': 5746618253357095269,
    '"string"': -8142146995180207161,
    '{"name":"foo","type":"fixed","size":15}': 1756455273707447556,
    '{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"}]}': 7843277075252814651,
}


def read(values: Sequence[bytes | None], folder: Path | None = None, **settings: Any) -> Read:
    """What the steps up to `validate` make of records with these values."""
    rules = build_event_rules(load_settings(avro_schemas=folder, **settings)) if folder or settings else RULES
    return read_records(build_records(values), rules, FlushReport())


def parsed(*values: bytes, folder: Path | None = None) -> list[dict[str, Any]]:
    """The parsed records of values that are all valid, without what differs by the bytes received."""
    found = read(values, folder)
    assert found.validated.dead.to_pylist() == []
    return found.validated.parsed.drop_columns(["_payload_hash"]).to_pylist()  # type: ignore[no-any-return]


def dead(*values: bytes, folder: Path | None = None, **settings: Any) -> list[dict[str, Any]]:
    """The dead letters of values of which none is valid."""
    found = read(values, folder, **settings)
    assert found.validated.parsed.num_rows == 0
    return found.restore(found.validated.dead).to_pylist()  # type: ignore[no-any-return]


def folder_of(path: Path, **schemas: Any) -> Path:
    for name, schema in schemas.items():
        (path / f"{name}.avsc").write_text(json.dumps(schema))
    return path


def record_of(fields: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A schema of a producer's own: the least that an event needs, and these fields."""
    application = {"type": "record", "name": "App", "fields": [{"name": "app_id", "type": "string"}]}
    least = [
        {"name": "event_type", "type": "string"},
        {"name": "event_timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "application", "type": application},
    ]
    return {"type": "record", "name": "Click", "namespace": "com.example", "fields": [*least, *fields]}


LEAST = {"event_type": "click", "event_timestamp": 1767225600000, "application": {"app_id": "shop"}}


@pytest.mark.parametrize(("canonical", "expected"), FINGERPRINTS.items())
def test_fingerprints_are_those_of_the_avro_specification(canonical: str, expected: int) -> None:
    assert fingerprint(canonical) == expected.to_bytes(8, "little", signed=True)


def test_fingerprint_is_that_of_the_canonical_form() -> None:
    """By the algorithm as the specification has it, over its canonical form written by hand."""
    declared = {
        "fields": [
            {"default": 1, "type": {"type": "int", "logicalType": "date"}, "doc": "x", "name": "a"},
            {"name": "b", "type": ["null", "S"]},
        ],
    }
    small = {"type": "fixed", "name": "S", "size": 2, "aliases": ["T"]}
    declared["fields"].insert(1, {"name": "s", "type": small})
    schema = {"namespace": "n", **declared, "doc": "y", "name": "R", "type": "record"}
    canonical = (
        '{"name":"n.R","type":"record","fields":[{"name":"a","type":"int"},{"name":"s","type":{"name":"n.S","type":"fixed","size":2}},'
        '{"name":"b","type":["null","n.S"]}]}'
    )
    empty = 0xC15D213AA4D7A795
    table = []
    for number in range(256):
        mark = number
        for _ in range(8):
            mark = (mark >> 1) ^ (empty & -(mark & 1))
        table.append(mark)
    mark = empty
    for byte in canonical.encode():
        mark = (mark >> 8) ^ table[(mark ^ byte) & 0xFF]
    assert fingerprint(json.dumps(schema)) == mark.to_bytes(8, "little")
    assert name_fingerprint(fingerprint(json.dumps(schema))) == f"{mark:016x}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_event_lands_alike_as_json_and_as_avro(path: Path) -> None:
    document = json.loads(path.read_text())
    assert parsed(as_object(document)) == parsed(json.dumps(document).encode())


def test_every_column_is_alike_and_json_is_left_alone_in_a_mixed_batch() -> None:
    full = EVENT | {"facets": FACETS}
    values = [event(), as_object(full), b"garbage", event(facets=FACETS), as_object(full), as_object(full)[:-1], None]
    found = read(values)
    rows = found.validated.parsed.to_pylist()
    assert [row["_offset"] for row in rows] == [0, 1, 3, 4]
    differing = {"_offset", "_row", "_payload_hash"}
    alike = [{name: value for name, value in row.items() if name not in differing} for row in rows]
    assert alike[1] == alike[2] == alike[3] != alike[0]
    assert None not in [value for name, value in alike[1].items() if name != "extra"]
    received = build_records(values)
    assert found.validated.parsed["_payload_hash"].to_pylist() == [received["_payload_hash"][place].as_py() for place in (0, 1, 3, 4)]
    letters = found.restore(found.validated.dead).to_pylist()
    assert [(row["_offset"], row["reason"]) for row in letters] == [(2, "not_json"), (5, "not_avro"), (6, "empty")]
    assert [row["value"] for row in letters] == [b"garbage", values[5], None]
    assert letters[1]["value_bytes"] == len(values[5] or b"")


def test_batch_without_avro_is_passed_on_as_it_is() -> None:
    records = build_records([event(), b"\xc3\xa4", b"\xc3", b"", None, b"{}\0"])
    assert decode_records(records, AvroSchemas(), RULES.validate).records is records


def test_avro_that_is_no_event_is_a_dead_letter_with_the_bytes_received_and_what_could_be_read() -> None:
    value = as_object(EVENT | {"event_timestamp": 1767225600})
    (letter,) = dead(as_object(EVENT | {"event_type": ""}))
    assert (letter["reason"], letter["value"][:2], letter["event_id"]) == ("missing_field", b"\xc3\x01", "id-1")
    (letter,) = dead(as_object(EVENT | {"event_timestamp": 1767225600_000_000}))
    assert letter["reason"] == "bad_timestamp"
    assert parsed(value)[0]["event_timestamp"].year == 1970


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"\xc3\x01abcdefgh" + b"x" * 20, "6867666564636261"),
        (as_framed(EVENT, 4711), "4711"),
        (b"\0\xff\xff\xff\xff", "4294967295"),
    ],
)
def test_value_under_an_unknown_schema_is_a_dead_letter_that_names_it_and_the_way_out(value: bytes, says: str) -> None:
    (letter,) = dead(value)
    assert (letter["reason"], letter["value"]) == ("unknown_schema", value)
    assert says in letter["error"]
    assert "AVRO_" in letter["error"]


@pytest.mark.parametrize("value", [b"\xc3\x01", b"\xc3\x01abcdefg", b"\0", b"\0\0\0\0"])
def test_value_that_ends_before_it_names_a_schema_is_no_avro(value: bytes) -> None:
    (letter,) = dead(value)
    assert (letter["reason"], letter["value"]) == ("not_avro", value)


def test_every_part_of_a_record_cut_short_and_every_record_with_a_tail_is_a_dead_letter() -> None:
    value = as_object(EVENT | {"facets": FACETS})
    cut = [value[:size] for size in range(len(OBJECT_HEAD), len(value))]
    letters = dead(*cut, *(value + tail for tail in (b"\0", b"\2", value)))
    assert {row["reason"] for row in letters} == {"not_avro"}
    assert [row["value"] for row in letters[: len(cut)]] == cut


# name: (schema, datum, reason, what stands in the C source, what stands there without the guard)
ITEMS = {"type": "array", "items": "null"}
TREE = {"type": "record", "name": "Tree", "fields": [{"name": "below", "type": ["null", "Tree"]}]}
# Where a length below zero is let through, the second field reads it again.
PAIR = {"type": "record", "name": "Pair", "fields": [{"name": "a", "type": "bytes"}, {"name": "b", "type": "int"}]}
SHORT = {
    "type": "record",
    "name": "Short",
    "fields": [{"name": "a", "type": {"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["s" * 500]}}}],
}
BAD: dict[str, tuple[Any, bytes, Reason, str, str]] = {
    "a number of eleven bytes": ("long", b"\x80" * 10 + b"\x01", Reason.NOT_AVRO, "if (shift == 63 && byte > 1) return BAD_VARINT;", ""),
    "a number beyond 64 bits": ("long", b"\xff" * 9 + b"\x02", Reason.NOT_AVRO, "if (shift == 63 && byte > 1) return BAD_VARINT;", ""),
    "an int beyond 32 bits": ("int", varint(2**31), Reason.NOT_AVRO, "(value < INT32_MIN || value > INT32_MAX) ? BAD_VARINT", "0 ? BAD_VARINT"),
    "a branch that there is not": (["null", "string"], varint(2), Reason.NOT_AVRO, "index >= node->count", "index > node->count"),
    "a branch below zero": (["null", "string"], varint(-1), Reason.NOT_AVRO, "if (index < 0 || ", "if ("),
    "a text that is not UTF-8": ("string", b"\x04\xff\xfe", Reason.NOT_AVRO, "if (!is_utf8(text->start, datum->at)) return BAD_TEXT;", ""),
    "half of a surrogate pair": ("string", b"\x06\xed\xa0\x80", Reason.NOT_AVRO, "if (!is_utf8(text->start, datum->at)) return BAD_TEXT;", ""),
    "a length beyond the end": ("bytes", varint(2**60) + b"abc", Reason.NOT_AVRO, "if (size > datum->end - datum->at) return ENDS_EARLY;\n    datum", "if (size > datum->end - datum->at) size = datum->end - datum->at;\n    datum"),
    "a length below zero": (PAIR, varint(-1), Reason.NOT_AVRO, "if (size < 0) return BAD_LENGTH;\n    if", "if"),
    "a boolean of another byte": ("boolean", b"\x07", Reason.NOT_AVRO, "*datum->at++ > 1 ? BAD_BOOLEAN : FITS", "datum->at++ ? FITS : FITS"),
    "a block that is longer than it says": ({"type": "array", "items": "int"}, varint(-1) + varint(0) + b"\x02\0", Reason.NOT_AVRO, "if (block_end && block_end != datum->at) return BAD_LENGTH;", ""),
    "a key twice": ({"type": "map", "values": "int"}, varint(2) + b"\x02a\x02\x02a\x04\0", Reason.DUPLICATE_KEY, "return node->kind == MAP ? check_keys(datum, first_key) : FITS;", "return FITS;"),
    "bytes behind it": ("int", b"\x02\x02", Reason.NOT_AVRO, "if (faults[number] == FITS && datum.at != datum.end) faults[number] = BYTES_LEFT;", ""),
    "65 levels": (TREE, b"\x02" * 64 + b"\0", Reason.TOO_DEEP, "if (datum->depth_left == 0) return TOO_DEEP;", ""),
    "a million items of no bytes": (ITEMS, varint(1_000_000) + b"\0", Reason.TOO_LARGE, "if (datum->json_left < 0) return TOO_LARGE;", ""),
    "symbols that grow": (SHORT, varint(3000) + b"\0" * 3000 + b"\0", Reason.TOO_LARGE, "datum->json_left -= datum->parts[node->first + index];", ""),
}  # fmt: skip
BYTES_MAX = 1_000_000


def check(schema: Any, datum: bytes) -> int:
    (fault,) = check_datums(pa.array([datum], pa.binary()), 0, read_schema(json.dumps(schema), "it"), BYTES_MAX).faults
    return fault


@pytest.mark.parametrize("name", BAD)
def test_datum_that_does_not_fit_its_schema_is_refused(name: str) -> None:
    schema, datum, reason, *_ = BAD[name]
    (found,) = write_documents(pa.array([datum], pa.binary()), 0, read_schema(json.dumps(schema), "the schema"), BYTES_MAX)
    assert isinstance(found, Unreadable)
    assert found.reason is reason
    assert re.search(r"by the schema .* at byte \d+; expected ", found.error), found.error


@pytest.fixture
def unguarded(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, bytes]]:
    """The check compiled without one guard, in place of the real one."""
    schema, datum, guard, without = request.param
    sources = {path.name: path.read_text() for path in build.FOLDER.glob("*.[ch]")}
    assert sources["avro_datum.c"].count(guard) == 1, guard
    for name, text in sources.items():
        (tmp_path / name).write_text(text.replace(guard, without) if name == "avro_datum.c" else text)
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    monkeypatch.setattr(build, "OUTPUT", tmp_path / "build")
    monkeypatch.setattr(build, "_FLAGS", tuple(re.sub("O3", "O0", flag) for flag in build._FLAGS))
    library.load_library.cache_clear()
    yield schema, datum
    library.load_library.cache_clear()


# Of these, without the guard, what lies beside the schema is read, or another guard stands behind it.
HELD_TWICE = {"a branch below zero", "a branch that there is not", "a number of eleven bytes"}


CONTROLS = {name: (schema, datum, guard, without) for name, (schema, datum, _, guard, without) in BAD.items() if name not in HELD_TWICE}


@pytest.mark.parametrize("unguarded", CONTROLS.values(), ids=CONTROLS.keys(), indirect=True)
def test_control_without_the_guard_the_datum_passes(unguarded: tuple[Any, bytes]) -> None:
    assert check(*unguarded) == 0


def test_control_reader_without_the_check_takes_a_branch_below_zero_for_another() -> None:
    schema, datum, *_ = BAD["a branch below zero"]
    assert fastavro.schemaless_reader(_file(datum + b"\x02a"), schema, None) == "a"


def _file(datum: bytes) -> Any:
    return io.BytesIO(datum)


# What a datum of a few bytes, or one of many levels, does to a process of 600 MB that reads it unchecked.
BOMB = """
import io, json, resource, sys
import fastavro
resource.setrlimit(resource.RLIMIT_AS, (600_000_000, 600_000_000))
fastavro.schemaless_reader(io.BytesIO(bytes.fromhex(sys.stdin.read())), fastavro.parse_schema(json.loads(sys.argv[1])), None)
print("read")
"""
BOMBS = {
    "a block of 2^60 nulls": (ITEMS, varint(2**60) + b"\0", Reason.TOO_LARGE),
    "a million levels": (TREE, b"\x02" * 900_000 + b"\0", Reason.TOO_DEEP),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_before_anything_is_made_of_it(name: str, tmp_path: Path) -> None:
    bomb, datum, reason = BOMBS[name]
    schema = record_of([{"name": "bomb", "type": bomb}])
    head = b"\xc3\x01" + fingerprint(json.dumps(schema)) + varint(5) + b"click" + varint(1767225600000) + varint(4) + b"shop"
    good = as_object(LEAST | {"bomb": [] if bomb is ITEMS else {"below": None}}, schema)
    found = read([good, head + datum, good], folder_of(tmp_path, click=schema))
    assert found.validated.parsed["_offset"].to_pylist() == [0, 2]
    assert found.validated.dead["reason"].to_pylist() == [reason]


@pytest.mark.parametrize("name", BOMBS)
def test_control_without_the_check_a_bomb_ends_the_process(name: str) -> None:
    schema, datum, _ = BOMBS[name]
    command = [sys.executable, "-c", BOMB, json.dumps(schema)]
    done = subprocess.run(command, input=datum.hex(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert "read" not in done.stdout


def test_schema_of_many_types_of_no_bytes_is_bounded_too() -> None:
    """Thirty records, each of two of the next: a datum of no bytes that says a billion."""
    schema: Any = {"type": "record", "name": "R0", "fields": []}
    for level in range(1, 31):
        fields = [{"name": "a", "type": schema}, {"name": "b", "type": f"R{level - 1}"}]
        schema = {"type": "record", "name": f"R{level}", "fields": fields}
    (found,) = write_documents(pa.array([b""], pa.binary()), 0, read_schema(json.dumps(schema), "it"), BYTES_MAX)
    assert isinstance(found, Unreadable)
    assert found.reason is Reason.TOO_LARGE


def test_large_record_is_measured_as_json() -> None:
    value = as_object(EVENT | {"attributes": {"note": "\x01" * 400_000}})
    (letter,) = dead(value)
    assert (letter["reason"], letter["value"], letter["value_bytes"]) == ("too_large", value, len(value))
    assert "MESSAGE_BYTES_MAX" in letter["error"]
    (letter,) = dead(as_object(EVENT | {"attributes": {"note": "x" * 1_100_000}}))
    assert letter["reason"] == "too_large"


TYPED: list[tuple[Any, Any, Any]] = [
    ({"type": "long", "logicalType": "timestamp-micros"}, 1767225600123456, 1767225600123),
    ({"type": "long", "logicalType": "timestamp-nanos"}, 1767225600123456789, 1767225600123),
    ({"type": "long", "logicalType": "local-timestamp-millis"}, 1767225600123, 1767225600123),
    ("bytes", b"\x00\xff", "AP8="),
    ({"type": "fixed", "name": "F", "size": 2}, b"\x00\xff", "AP8="),
    ({"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 3}, Decimal("-12345678901234567890.125"), "-12345678901234567890.125"),
    ({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}, uuid.UUID(int=7).bytes, str(uuid.UUID(int=7))),
    ({"type": "enum", "name": "E", "symbols": ["RED", "BLUE"]}, "BLUE", "BLUE"),
    ({"type": "array", "items": ["null", "long"]}, [1, None, 2**62], [1, None, 2**62]),
    ({"type": "map", "values": {"type": "map", "values": "boolean"}}, {"a": {"b": True}}, {"a": {"b": True}}),
    (["null", {"type": "array", "items": "bytes"}], [b"\x01"], ["AQ=="]),
    (TREE, {"below": {"below": None}}, {"below": {"below": None}}),
    ("float", 0.5, 0.5),
    ({"type": "int", "logicalType": "date"}, 20454, 20454),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "written", "expected"), TYPED)
def test_what_the_stream_record_has_no_place_for_lands_in_extra(declared: Any, written: Any, expected: Any, tmp_path: Path) -> None:
    schema = record_of([{"name": "own", "type": declared}])
    plain = json.loads(json.dumps(schema).replace('"logicalType"', '"x"')) if not isinstance(written, Decimal) else schema
    value = b"\xc3\x01" + fingerprint(json.dumps(schema)) + write_datum(LEAST | {"own": written}, plain)
    (row,) = parsed(value, folder=folder_of(tmp_path, click=schema))
    assert (row["event_type"], row["event_timestamp"].year) == ("click", 2026)
    assert json.loads(row["extra"], parse_float=str) == {"own": expected if not isinstance(expected, float) else str(expected)} or (
        json.loads(row["extra"], parse_float=Decimal) == {"own": Decimal(str(expected))}
    )


def test_fields_are_matched_by_name_and_fitted_as_json_is(tmp_path: Path) -> None:
    """Another order, other types, text for facets, nothing of what may be missing."""
    schema = record_of(
        [
            {"name": "metrics", "type": {"type": "map", "values": ["long", "float", "string"]}},
            {"name": "attributes", "type": {"type": "map", "values": ["null", "string", "int", {"type": "array", "items": "int"}]}},
            {"name": "event_id", "type": "long"},
            {"name": "facets", "type": "string"},
        ]
    )
    schema["fields"].reverse()
    record = LEAST | {
        "metrics": {"a": 3, "b": 0.5, "c": "7"},
        "attributes": {"x": "y", "n": 5, "l": [1], "z": None},
        "event_id": 9,
        "facets": '{"a":1}',
    }
    (row,) = parsed(as_object(record, schema), folder=folder_of(tmp_path, click=schema))
    document = record | {"facets": {"a": 1}}
    (as_json,) = parsed(json.dumps(document).encode())
    assert {**row, "attributes": dict(row["attributes"]), "metrics": dict(row["metrics"])} == {
        **as_json,
        "attributes": dict(as_json["attributes"]),
        "metrics": dict(as_json["metrics"]),
    }


def test_text_for_facets_cannot_put_members_beside_them() -> None:
    record = dict(EVENT) | {"facets": '{},"event_id":"forged"'}
    (row,) = parsed(as_object(record))
    assert (row["event_id"], row["facets"]) == ("id-1", None)
    assert json.loads(row["extra"]) == {"facets": '{},"event_id":"forged"'}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_number_that_json_has_not_is_a_dead_letter(number: float) -> None:
    value = as_object(EVENT | {"metrics": {"price": number}})
    (letter,) = dead(value)
    assert (letter["reason"], letter["value"]) == ("number_out_of_range", value)


def test_decimal_beyond_a_float_is_a_dead_letter_and_takes_no_time(tmp_path: Path) -> None:
    schema = record_of([{"name": "own", "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}}])
    plain = json.loads(json.dumps(schema).replace('"logicalType"', '"x"'))
    head = b"\xc3\x01" + fingerprint(json.dumps(schema))
    values = [head + write_datum(LEAST | {"own": b"\x7f" * size}, plain) for size in (200, 3_000, 900_000)]
    letters = dead(*values, folder=folder_of(tmp_path, click=schema))
    assert {row["reason"] for row in letters} == {"number_out_of_range"}


def test_names_are_redacted_in_avro_and_bytes_that_cannot_be_are_not_kept() -> None:
    secret = EVENT | {"attributes": {"email": "bob@example.com"}}
    values = [as_object(secret), as_object(secret | {"event_type": ""}), as_object(secret)[:-1], as_object(secret)]
    rules = build_event_rules(load_settings(redact_removed=("email",)))
    found = read_records(build_records(values), rules, FlushReport())
    assert [dict(row) for row in found.validated.parsed["attributes"].to_pylist()] == [{}, {}]
    invalid, broken = found.restore(found.validated.dead).to_pylist()
    assert b"bob" not in invalid["value"]
    assert json.loads(invalid["value"])["event_id"] == "id-1"
    assert (broken["reason"], broken["value"], broken["key"]) == ("not_avro", None, None)
    unredacted = read(values)
    assert [row["value"] for row in unredacted.restore(unredacted.validated.dead).to_pylist()] == values[1:3]


def test_error_of_a_value_that_cannot_be_read_quotes_nothing_while_redaction_is_on() -> None:
    value = as_object(EVENT | {"metrics": {"price": math.inf}})
    assert "found inf" in dead(value)[0]["error"]
    assert "found" not in dead(value, redact_removed=("email",))[0]["error"]


def test_folder_of_schemas_holds_schemas_alone(tmp_path: Path) -> None:
    for name, text in {"not_json": "{", "not_avro": '{"type":"record","name":"R"}', "not_a_type": '{"type":"strin"}', "double": json.dumps(record_of([{"name": "event_type", "type": "int"}]))}.items():  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        (folder / "one.avsc").write_text(text)
        with pytest.raises(SettingError, match=r"Setting 'HEADWATER_AVRO_SCHEMAS' is .*; expected Avro schemas .*'one.avsc' is none"):
            build_avro_schemas(load_settings(avro_schemas=folder))
    with pytest.raises(SettingError, match="a folder of Avro schemas"):
        build_avro_schemas(load_settings(avro_schemas=tmp_path / "nowhere"))
    deep = '{"type":"array","items":' * 5_000 + '"int"' + "}" * 5_000
    with pytest.raises(SchemaError):
        read_schema(deep, "deep")


def test_our_schema_is_known_without_any_setting() -> None:
    assert list(load_known(None)) == [fingerprint(OURS.read_text())]


def test_record_by_an_older_schema_of_ours_lands(tmp_path: Path) -> None:
    older = {**STREAM_RECORD, "fields": [field for field in STREAM_RECORD["fields"] if field["name"] not in {"headwater", "facets"}]}
    value = as_object({name: found for name, found in EVENT.items() if name != "headwater"}, older)
    assert dead(value)[0]["reason"] == "unknown_schema"
    assert parsed(value, folder=folder_of(tmp_path, older=older)) == parsed(event(headwater=...))


DATUM = write_datum(EVENT | {"facets": FACETS})


@given(st.integers(0, len(DATUM) - 1), st.binary(max_size=6), st.integers(0, 6))
def test_whatever_is_in_a_datum_one_row_comes_of_it(place: int, put: bytes, cut: int) -> None:
    datum = DATUM[:place] + put + DATUM[place + cut :]
    found = read([event(), OBJECT_HEAD + datum, event(event_id="id-2")]).validated
    assert found.parsed.num_rows + found.dead.num_rows == 3
    assert {0, 2} <= set(found.parsed["_offset"].to_pylist())


def test_what_the_check_lets_through_the_reader_reads() -> None:
    """Random bytes by a schema of every type: nothing that passes is refused after it, where no number is in the way."""
    chance = random.Random(3)
    schema = read_schema(
        json.dumps({"type": "record", "name": "All", "fields": [{"name": f"f{n}", "type": one} for n, (one, *_) in enumerate(TYPED) if one != "float"]}),
        "all",
    )  # fmt: skip
    few = read_schema(json.dumps(["null", "boolean", "int", "string", {"type": "map", "values": ["int", "string"]}, {"type": "array", "items": "long"}]), "few")  # fmt: skip
    passed = written = 0
    for one in (schema, few):
        values = pa.array([bytes(chance.choices(range(8), k=chance.randrange(1, 9))) for _ in range(20_000)], pa.binary())
        checked = check_datums(values, 0, one, BYTES_MAX)
        for value, fault, text in zip(values.to_pylist(), checked.faults, checked.texts, strict=True):
            if not fault:
                document = read_document(value, one, BYTES_MAX)
                assert isinstance(document, bytes), document
                assert text in {None, document}
                passed += 1
                written += text is not None
    assert passed > written > 500


NUMBERS = [
    0.1,
    1 / 3,
    2.0,
    -7.25,
    123456789.123,
    1e15,
    999999999999999.9,
    1e-4,
    9.9e-5,
    5e-324,
    1.7e308,
    -0.0,
    0.0,
    2**53 + 0.0,
    4.35,
    1e14 + 0.3,
]


def test_what_is_written_without_the_reader_is_what_the_reader_writes() -> None:
    chance = random.Random(5)
    numbers = NUMBERS + [chance.choice((1, -1)) * chance.random() * 10 ** chance.randrange(-6, 20) for _ in range(3000)]
    texts = ["", 'a "quoted" \\ text', "\u00e9\u4e2d\U0001f600", "\x7f", "\x01", "a\nb", "/", "\u2028"]
    records = [EVENT | {"metrics": {"n": number}, "attributes": {text: text}} for number, text in zip(numbers, texts * 400, strict=False)]
    records += [json.loads(path.read_text()) for path in EXAMPLES]
    ours = read_schema(OURS.read_bytes(), "ours")
    data = [write_datum(record) for record in records]
    written = check_datums(pa.array(data, pa.binary()), 0, ours, BYTES_MAX).texts
    read_by = [read_document(datum, ours, BYTES_MAX) for datum in data]
    assert [(text, one) for text, one in zip(written, read_by, strict=True) if text not in {None, one}] == []
    assert sum(text is not None for text in written) > len(data) / 2
    # What has facets, or a control character, is left to the reader, and nothing that is common.
    assert check_datums(pa.array([DATUM, write_datum(EVENT)], pa.binary()), 0, ours, BYTES_MAX).texts[0] is None
    assert written[0] is not None


# name: (schema, datum, what stands in the C source, what stands there without the guard)
WRITTEN: dict[str, tuple[Any, bytes, str, str]] = {
    "a control character is the reader's": ("string", b"\x02\x01", "if (*at < 0x20) datum->is_written = false;", ""),
    "a quote is escaped": ("string", b'\x02"', "if (*at != '\"' && *at != '\\\\') continue;", "continue;"),
    "what JSON has not is the reader's": ("bytes", b"\x02\x01", "if (node->is_odd) datum->is_written = false;", ""),
    "an exponent is the reader's": ("double", struct.pack("<d", 1e-7), "|| size < 1e-4", ""),
    "a number that is none is the reader's": ("double", struct.pack("<d", math.nan), "!(size < 1e15)", "size >= 1e15"),
    "as many digits as it takes": ("double", struct.pack("<d", 0.1 + 0.2), "if (strtod(digits, NULL) == value) break;", "break;"),
    "a sign of zero is the reader's": ("double", struct.pack("<d", -0.0), " && !signbit(value)", ""),
}


def written_alike(declared: Any, datum: bytes) -> bool:
    """Whether the check writes what the reader writes, or nothing."""
    schema = read_schema(json.dumps(declared), "it")
    return check_datums(pa.array([datum], pa.binary()), 0, schema, BYTES_MAX).texts[0] in {
        None,
        _text(read_document(datum, schema, BYTES_MAX)),
    }


def _text(document: bytes | Unreadable) -> bytes | None:
    return document if isinstance(document, bytes) else None


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_guard_of_the_writing_is_for_is_written_as_the_reader_writes_it(name: str) -> None:
    declared, datum, *_ = WRITTEN[name]
    assert written_alike(declared, datum)


@pytest.mark.parametrize("unguarded", WRITTEN.values(), ids=WRITTEN.keys(), indirect=True)
def test_control_without_the_guard_it_is_written_otherwise(unguarded: tuple[Any, bytes]) -> None:
    assert not written_alike(*unguarded)
