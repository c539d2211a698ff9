"""The compiled reader: what it takes it takes exactly, and each of its guards is needed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.native import build, library
from agents.parsing.read_columns import read_columns
from agents.validate import ValidateRules, validate_batch, validate_strictly
from tests.validate_inputs import build_records, event, with_raw

RULES = ValidateRules(message_bytes_max=1_000_000)
few = settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))


def read_one(value: bytes) -> dict[str, Any]:
    """The columns of a value, which the reader must take."""
    columns, is_read = read_columns(pa.array([value], pa.binary()), np.ones(1, np.bool_))
    assert is_read.tolist() == [True]
    return dict(columns.to_pylist()[0])


@few
@given(st.text(), st.booleans())
def test_texts_are_what_json_says(text: str, is_ascii: bool) -> None:
    value = json.dumps({"title": text}, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    document = event(application=...)[:-1] + b',"application":{"app_id":"shop",' + value[1:] + b"}"
    try:
        text.encode()
    except UnicodeEncodeError:
        assert not lands_alike_quickly(document)
    else:
        assert read_one(document)["app_title"] == text


def lands_alike_quickly(value: bytes) -> bool:
    _, is_read = read_columns(pa.array([value], pa.binary()), np.ones(1, np.bool_))
    return bool(is_read[0])


@few
@given(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20) | st.decimals(allow_nan=False, allow_infinity=False)
)
def test_numbers_are_the_floats_next_to_what_was_written(number: Any) -> None:
    literal = str(number).lower()
    # Decimal writes 0E+3, and no sign of a zero that is whole.
    expected = float(number) if literal != "-0" else 0.0
    if np.isinf(expected):
        return
    found = read_one(event(metrics=...)[:-1] + b',"metrics":{"x":' + literal.encode() + b"}}")["metrics"]
    assert [(name, value.hex()) for name, value in found] == [("x", expected.hex())]


@few
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**9), 10**9)
        | st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{0,3}", fullmatch=True), inner, max_size=3),
        max_leaves=10,
    ),
    st.sampled_from([None, 2, "\t"]),
)
def test_documents_are_kept_in_one_spelling(inner: Any, indent: Any) -> None:
    facets = {"a": inner}
    value = event(facets=...)[:-1] + b',"facets":' + json.dumps(facets, ensure_ascii=False, indent=indent).encode() + b"}"
    assert read_one(value)["facets"] == json.dumps(facets, ensure_ascii=False, separators=(",", ":"))


# name: (what stands in the C source, what stands there without the guard, messages of which one lands wrong then)
WITHOUT: dict[str, tuple[str, str, list[bytes]]] = {
    "an unknown name is left": (
        "if (found < 0 || seen >> found & 1) return false;",
        "if (found < 0) { Heap waste = {0}; if (!copy_document(reader, &waste) || !take_comma(cursor, '}', &is_over)) return false; continue; }",
        [with_raw(b'"zzz":"q"')],
    ),
    "a name stands once": (" || seen >> found & 1", "", [with_raw(b'"event_version":"3.0"')]),
    "an attribute stands once": (
        "count == MEMBERS_MAX || is_among(names, count, &name)",
        "count == MEMBERS_MAX",
        [event().replace(b'"plan":', b'"sku":"SKU-2","plan":')],
    ),
    "a name of facets stands once": (
        "count == NAMES_MAX || is_among(names, count, &name)",
        "count == NAMES_MAX",
        [event(facets={"a": 1}).replace(b'{"a":1}', b'{"a":1,"a":1}')],
    ),
    "a name is not in disguise": (
        " || (name->has_escape && !reader->is_canonical)",
        "",
        [event().replace(b'"plan":', b'"\\u0073ku":"SKU-2","plan":')],
    ),
    "nothing follows": (" && reader.cursor.at == reader.cursor.end", "", [event() + b"{}"]),
    "what every event needs is there": (" && has_required(&reader, column_count)", "", [event(event_type=...)]),
    "a required text is not empty": (
        "column->kind == TEXT && column->bytes.size == column->ends[reader->row]",
        "false",
        [event(event_type="")],
    ),
    "64 levels": ("DEPTH_MAX = 64", "DEPTH_MAX = 65", [event(facets=json.loads('{"a":' * 64 + "1" + "}" * 64))]),
    "a metric is finite": (" && *value - *value == 0", "", [event().replace(b"9.5", b"9.5e999")]),
    "a number in facets is finite": (
        "if ((!number.is_whole || number.size > 300) && !read_float(&number, &value)) return false;",
        "",
        [event(facets={"a": [0]}).replace(b"[0]", b"[1e999]")],
    ),
    "one spelling of zero": (
        " || (number.size == 2 && number.start[0] == '-' && number.start[1] == '0')",
        "",
        [event(facets={"a": [0]}).replace(b"[0]", b"[-0]")],
    ),
    "one spelling of escapes": (
        "if (at[1] == 'u' || at[1] == '/') return false;",
        "",
        [event(facets={"a": "x"}).replace(b'"x"', rb'"\u0041"')],
    ),
    "UTF-8": ("return is_ascii || is_utf8(text->start, at);", "return true;", [event().replace(b'"gold"', b'"\xff"')]),
    "no control characters": (
        "*at < 0x20) return false;\n        if (*at == '\"') break;",
        "0) return false;\n        if (*at == '\"') break;\n        if (*at < 0x20) { at++; continue; }",
        [event().replace(b'"gold"', b'"go\nld"')],
    ),
    "no half of a surrogate pair": (
        "if (second < 0xDC00 || second >= 0xE000) return false;",
        "",
        [event().replace(b'"gold"', rb'"\ud83d\u0041"')],
    ),
    "numbers by the grammar": ("if (*at == '0') {", "if (0) {", [event().replace(b'"quantity":2', b'"quantity":02')]),
    "a time is whole": ("!number->is_whole || digits > 15", "digits > 15", [event(arrival_timestamp=7.5)]),
    "a time is a date": (" || value < reader->ms_min || value > reader->ms_max", "", [event(event_timestamp=253_402_300_800_000)]),
    "a row that was given up leaves nothing": (
        "if (!is_fit) forget_row(&reader, column_count);",
        "",
        [event(attributes={"a": 1}), event()],
    ),
}


@pytest.fixture
def mutant(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The reader compiled without one guard, in place of the real one; gives the messages that need it."""
    guard, without, values = WITHOUT[request.param]
    sources = {path.name: path.read_text() for path in build.FOLDER.glob("*.[ch]")}
    assert sum(text.count(guard) for text in sources.values()) == 1, guard
    for name, text in sources.items():
        (tmp_path / name).write_text(text.replace(guard, without))
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    monkeypatch.setattr(build, "OUTPUT", tmp_path / "build")
    monkeypatch.setattr(build, "_FLAGS", tuple(re.sub("O3", "O0", flag) for flag in build._FLAGS))
    library.load_library.cache_clear()
    yield values
    library.load_library.cache_clear()


def lands_alike(values: list[bytes]) -> bool:
    records = build_records(values)
    try:
        quick, strict = validate_batch(records, RULES), validate_strictly(records, RULES)
        quick.parsed.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return bool(quick.parsed.equals(strict.parsed) and quick.dead.equals(strict.dead))


@pytest.mark.parametrize("name", WITHOUT)
def test_what_a_guard_is_for_lands_as_the_strict_reading_says(name: str) -> None:
    assert lands_alike(WITHOUT[name][2])


@pytest.mark.parametrize("mutant", WITHOUT, indirect=True)
def test_control_without_the_guard_it_lands_wrong(mutant: list[bytes]) -> None:
    assert not lands_alike(mutant)


def test_facets_at_the_deepest_level_land() -> None:
    value = event(facets=json.loads('{"a":' * 63 + "1" + "}" * 63))
    assert lands_alike([value])
    assert read_one(value)["facets"].count("{") == 63


def test_more_names_than_the_reader_compares_are_read_strictly() -> None:
    attributes = {f"a{number}": "x" for number in range(65)}
    value = event(attributes=attributes)
    assert not lands_alike_quickly(value)
    assert lands_alike([value])
    assert lands_alike_quickly(event(attributes=dict(list(attributes.items())[:64])))


def test_a_slice_of_an_array_is_read_where_it_begins() -> None:
    values = pa.array([b"garbage", event(event_id="a"), event(event_id="b")], pa.binary())
    columns, is_read = read_columns(values.slice(1), np.ones(2, np.bool_))
    assert columns["event_id"].to_pylist() == ["a", "b"]
    assert is_read.all()
