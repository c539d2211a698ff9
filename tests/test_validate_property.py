"""`validate` over documents that nobody thought of: both ways give the same, and nothing that was sent is lost."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.parsing.exact_json import parse_exactly
from agents.parsing.read_columns import read_columns
from agents.validate import ValidateRules, validate_batch, validate_strictly
from tests.validate_inputs import EVENT, FACETS, build_records, render
from tests.validate_losses import find_lost, read_literally

RULES = ValidateRules(message_bytes_max=1_000_000)

Members = list[tuple[str, Any]]

# Texts and names that look like structure.
TEXTS = st.sampled_from(
    [
        "",
        "x",
        "{}",
        "[]",
        ":",
        ":x",
        '":',
        'say "hi": {',
        "a\\",
        '\\"',
        "\\\\",
        " ",
        '" ',
        "{",
        "7",
        "7.50",
        "true",
        "é😀",
        "\u2028",
        "\x00",
    ]
)
# Values as bytes, which json.dumps would not write.
LITERALS = st.sampled_from(
    [
        *(b"0", b"-0", b"1", b"-1.50", b"1e2", b"1E-7", b"1.7e12", b"1767225600000", b"1767225600000.0", b"9007199254740993"),
        *(b"123456789012345678901234567890", b"9" * 308, b"9" * 310, b"1e400", b"NaN", b"true", b"false", b"null"),
        *(rb'"\u0041"', rb'"\ud83d\ude00"', rb'"\u0022:"', rb'"\ud83d"', rb'"\/"', rb'"a\u0000"'),
        *(b"{}", b"{ }", b"[]", b'{"a":1,"a":2}', b'[{"x":{}}]', rb'{"\u0061":{}}'),
    ]
)
NAMES = st.sampled_from(
    [
        *("", "zzz", 'a"', "a\\", 'q":', "Event_type", "x"),
        *("event_type", "event_version", "application", "app_id", "sdk", "name", "device", "make", "title", "platform", "session"),
        *("session_id", "start_timestamp", "attributes", "metrics", "price", "client_context", "custom", "endpoint", "facets", "headwater"),
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | LITERALS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.lists(st.tuples(NAMES, inner), max_size=3),
    max_leaves=5,
)


def as_members(document: dict[str, Any]) -> Members:
    return [(name, as_members(value) if isinstance(value, dict) else value) for name, value in document.items()]


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """The event with a few members changed, added, doubled or taken away at any depth, in some style of writing."""
    document = as_members(draw(st.sampled_from([EVENT, EVENT | {"facets": FACETS}])))
    for _ in range(draw(st.integers(0, 4))):
        members = document
        while True:
            place = draw(st.integers(0, len(members)))
            if (
                place < len(members)
                and isinstance(members[place][1], list)
                and members[place][1]
                and isinstance(members[place][1][0], tuple)
                and draw(st.booleans())
            ):
                members = members[place][1]
                continue
            break
        change = draw(st.sampled_from(["value", "add", "double", "remove", "empty"]))
        if change == "add" or place == len(members):
            members.insert(place, (draw(NAMES), draw(VALUES)))
        elif change == "value":
            members[place] = (members[place][0], draw(VALUES))
        elif change == "double":
            members.insert(draw(st.integers(0, len(members))), (members[place][0], draw(VALUES)))
        elif change == "empty":
            members[place] = (members[place][0], b"{}")
        else:
            del members[place]
    space = st.sampled_from(["", "", "", " ", "  ", "\n", "\t"])
    text = render(document, draw(space), draw(space), draw(space), draw(st.booleans()))
    return text.encode()


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A message with a few bytes changed."""
    value = bytearray(draw(messages()))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(value) - 1))
        value[place : place + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b'"', b"{", b"}", b",", b":", b"\\", b" ", b"\x00", b"\xff", b"/*", b"[", b"e", b"\xc3"])
        )
        value = value or bytearray(b" ")
    return bytes(value)


batches = st.lists(messages() | mutations(), min_size=20, max_size=20)
few = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=1000)


@few
@given(batches)
def test_quick_and_strict_reading_give_the_same(values: list[bytes]) -> None:
    check_same(values)


@pytest.mark.full
@many
@given(batches)
def test_quick_and_strict_reading_give_the_same_twenty_thousand_times(values: list[bytes]) -> None:
    check_same(values)


@few
@given(batches)
def test_nothing_that_was_sent_is_lost(values: list[bytes]) -> None:
    check_kept(values)


@pytest.mark.full
@many
@given(batches)
def test_nothing_that_was_sent_is_lost_twenty_thousand_times(values: list[bytes]) -> None:
    check_kept(values)


def check_same(values: list[bytes]) -> None:
    records = build_records(values)
    quick, strict = validate_batch(records, RULES), validate_strictly(records, RULES)
    assert quick.parsed.to_pylist() == strict.parsed.to_pylist()
    assert quick.dead.to_pylist() == strict.dead.to_pylist()
    rows = quick.parsed["_row"].to_pylist() + quick.dead["_offset"].to_pylist()
    assert sorted(rows) == list(range(len(values)))


def check_kept(values: list[bytes]) -> None:
    for row in validate_batch(build_records(values), RULES).parsed.to_pylist():
        sent = read_literally(values[row["_row"]])
        extra = read_literally(row["extra"] or "{}")
        assert list(find_lost(sent, extra, row, ())) == []


@few
@given(st.lists(mutations(), min_size=20, max_size=20))
def test_the_compiled_reader_takes_nothing_that_is_not_exact_json(values: list[bytes]) -> None:
    _, is_read = read_columns(pa.array(values, pa.binary()), np.ones(len(values), np.bool_))
    for value in [value for value, was_read in zip(values, is_read.tolist(), strict=True) if was_read]:
        parse_exactly(value)


def test_what_is_lost_is_found() -> None:
    value = render([*as_members(EVENT), ("zzz", "q")]).encode()
    (row,) = validate_batch(build_records([value]), RULES).parsed.to_pylist()
    assert list(find_lost(read_literally(value), {}, row, ())) == ["zzz"]
