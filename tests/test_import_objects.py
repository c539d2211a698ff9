"""Every JSON object of a text is found, however the text is laid out or cut into parts; what is no object costs only itself."""

import json
from collections.abc import Iterator
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.imports import objects
from pipeline.imports.objects import OBJECT_BYTES_MAX, split_objects
from pipeline.imports.rows import BrokenFileError

DECODE = msgspec.json.Decoder(dict).decode
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WHOLE = [b'{"a":1}', b'{"a":"}{"}', b'{"b":[1,{"c":null}]}', b'{"a":\n1}', '{"ü":"ß"}'.encode(), b'{"a":"\xff"}', b'{"a":NaN}', b"\n", b" "]
BROKEN = [b"{", b"}", b'"', b"[", b",", b"tru", b"1e", b"\\u00", b"nul", b"x", b"12", b"null"]
OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), max_size=6)


def split(text: bytes, part: int = 1 << 20) -> list[tuple[int, bytes, bool]]:
    """(line, content, whether it is an object); a text that breaks off ends with (0, b"cut off", False)."""
    found = []
    try:
        for piece in split_objects(parts(text, part), "file", DECODE):
            found.append((piece.line, piece.content, piece.reason is None))
    except BrokenFileError:
        found.append((0, b"cut off", False))
    return found


def parts(text: bytes, size: int) -> Iterator[bytes]:
    return (text[start : start + size] for start in range(0, len(text), size))


def values(text: bytes) -> list[object]:
    return [json.loads(content) for _, content, is_object in split(text) if is_object]


@pytest.mark.parametrize("between", ["\n", "", " ", "\r\n", "\n\n", "\t \n "])
@given(values=OBJECTS, is_ascii=st.booleans(), indent=st.sampled_from([None, 2]))
def test_objects_are_found_one_a_line_and_run_together_and_spread_over_lines(
    between: str, values: list[object], is_ascii: bool, indent: int | None
) -> None:
    written = [json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode("utf-8", "surrogatepass") for value in values]
    text = between.encode().join(written)
    assert [content for _, content, _ in split(text)] == written


@given(expected=OBJECTS, indent=st.sampled_from([None, 2]))
def test_objects_of_one_array_are_found(expected: list[object], indent: int | None) -> None:
    assert values(json.dumps(expected, indent=indent).encode()) == expected


@given(
    fragments=st.lists(st.sampled_from(WHOLE + BROKEN), max_size=12),
    size=st.integers(1, 9),
)
def test_the_sizes_of_the_parts_change_nothing(fragments: list[bytes], size: int) -> None:
    text = b"".join(fragments)
    # Only few bytes are looked ahead, so that parts end within objects, words and characters.
    with patch.object(objects, "LINE_BYTES", 3):
        assert split(text, size) == split(text)


def test_a_text_cut_anywhere_gives_the_objects_before_and_says_that_it_is_cut() -> None:
    text = b'{"a":"x\\u00e9","b":[true,-1.5e3]}\n{"c":{"d":null}}\n{"e":"\xc3\xa9"}'
    ends = [
        place
        for place in range(len(text) + 1)
        if text[:place].rstrip().endswith(b"}") and text[:place].count(b"{") == text[:place].count(b"}")
    ]
    for place in range(1, len(text)):
        found = split(text[:place])
        whole = len([line for line in text[:place].split(b"\n") if line in text.split(b"\n")])
        is_cut = place not in ends and not text[:place].endswith(b"\n")
        assert [is_object for _, _, is_object in found] == [True] * whole + [False] * is_cut, text[:place]


@pytest.mark.parametrize(
    "bad",
    [
        b"{bad}",
        b'{"a":1',
        b'{"a":"x',
        b"12",
        b"null",
        b"[1,2]",
        b'"text"',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"<html>",
        b'{"a" 1}',
    ],
)
def test_a_bad_line_costs_only_itself_and_is_named_by_its_line(bad: bytes) -> None:
    found = split(b'{"n":1}\n' + bad + b'\n{"n":2}\n{"n":3}\n')
    assert [(line, is_object) for line, _, is_object in found if is_object] == [(1, True), (3, True), (4, True)]
    assert found[1] == (2, bad, False)


def test_a_bad_object_among_objects_without_line_ends_costs_only_itself() -> None:
    assert [is_object for _, _, is_object in split(b'{"n":1}{bad}{"n":2}{"n":3}')] == [True, False, True, True]


def test_nesting_without_end_is_one_bad_line() -> None:
    bomb = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    assert [is_object for _, _, is_object in split(b'{"n":1}\n' + bomb + b'\n{"n":2}\n')] == [True, False, True]


def test_a_byte_order_mark_is_no_part_of_the_first_object() -> None:
    assert values(b'\xef\xbb\xbf{"n":1}\n') == [{"n": 1}]


def test_an_object_that_is_too_large_does_not_grow_without_bound() -> None:
    large = b'{"a":"' + b"x" * (OBJECT_BYTES_MAX + (1 << 20)) + b'"}'
    assert [(line, is_object) for line, _, is_object in split(b'{"n":\n1}' + large + b'\n{"n":2}\n')][-1] == (3, True)
