"""The strict reading of JSON, and the quicker one that must equal it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.parsing import exact_json
from agents.parsing.exact_json import DEPTH_MAX, Unreadable, parse_counted, parse_exactly, write_json
from schemas.records import Reason


def reason_of(value: bytes) -> Reason:
    with pytest.raises(Unreadable) as caught:
        parse_exactly(value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"\xff", Reason.NOT_UTF8),
        (b'"\xed\xa0\xbd\xed\xb8\x80"', Reason.NOT_UTF8),
        (b"\xef\xbb\xbf{}", Reason.NOT_JSON),
        (b"{}{}", Reason.NOT_JSON),
        (b"Infinity", Reason.NOT_JSON),
        (b'"\x1f"', Reason.NOT_JSON),
        (b'["\\ud800"]', Reason.NOT_JSON),
        (b'{"\\udfff":1}', Reason.NOT_JSON),
        (b'"\\ude00\\ud83d"', Reason.NOT_JSON),
        (b"\x0b1", Reason.NOT_JSON),
        (b'{"a":{"b":1,"b":1}}', Reason.DUPLICATE_KEY),
        (b'{"a":1,"\\u0061":1}', Reason.DUPLICATE_KEY),
        (b"[1e309]", Reason.NUMBER_OUT_OF_RANGE),
        (b"-1" + b"0" * 309, Reason.NUMBER_OUT_OF_RANGE),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), Reason.TOO_DEEP),
        (b'{"a":' * 1_000_000, Reason.TOO_DEEP),
    ],
)
def test_text_that_parsers_disagree_on_is_refused_with_its_reason(value: bytes, reason: Reason) -> None:
    assert reason_of(value) == reason


@pytest.mark.parametrize(
    "value",
    [
        b"[" * DEPTH_MAX + b"]" * DEPTH_MAX,
        b'"' + b"[{" * 1000 + b'"',
        b'["\\\\",' + b",".join([b"[]"] * 1000) + b"]",
        b'{"a":"\\u0000"}',
        b'"\\ud83d\\ude00"',
        b"1.7976931348623157e308",
        b"9" * 308,
        b"1e-400",
        b" {} \n",
    ],
)
def test_text_at_the_limits_is_read(value: bytes) -> None:
    parse_exactly(value)


def test_numbers_are_written_back_as_they_were() -> None:
    text = b'{"a":[1.50,1E+2,-0.0,123456789012345678901234567890,0.1000000000000000055],"b":-0}'
    assert write_json(parse_exactly(text)).encode() == text.replace(b'"b":-0', b'"b":0')


def test_error_says_what_was_found_and_bare_error_quotes_nothing() -> None:
    with pytest.raises(Unreadable) as caught:
        parse_exactly(b'{"secret":1,"secret":2}')
    assert "'secret'" in caught.value.error
    assert "secret" not in caught.value.bare_error
    assert caught.value.bare_error == "A name stands twice in one object; expected each name once."


DOCUMENTS = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=10,
    ),
    max_size=5,
)


@given(DOCUMENTS)
def test_counted_reading_equals_the_exact_one(document: dict[str, Any]) -> None:
    value = msgspec.json.encode(document)
    assert write_json(parse_counted(value)) == write_json(parse_exactly(value))


def test_counted_reading_finds_a_name_that_stands_twice() -> None:
    with pytest.raises(Unreadable):
        parse_counted(b'{"a":1,"a":2}')


def test_control_without_the_count_the_second_of_two_would_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_json, "count_names", lambda value: 1)
    assert parse_counted(b'{"a":1,"a":2}') == {"a": 2}
