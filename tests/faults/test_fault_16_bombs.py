"""Row 16: malformed UTF-8, deep nesting, long numbers, names that stand twice: nothing crashes, and all ways of reading give one verdict."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence

import duckdb
import pytest

from agents.parsing.exact_json import Unreadable, parse_exactly
from schemas.records import Reason
from tests.faults.inputs import parser_paths
from tests.faults.inputs.block_verdicts import ask_in_processes
from tests.faults.inputs.parser_paths import EVENT_PATHS, EVENT_VERDICT, OBJECT_PATHS, READABLE, REFUSED
from tests.faults.inputs.poison import POISON
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.validate_inputs import event

_UNREADABLE = {
    *(Reason.EMPTY, Reason.NOT_UTF8, Reason.NOT_JSON, Reason.TOO_DEEP, Reason.DUPLICATE_KEY),
    *(Reason.NUMBER_OUT_OF_RANGE, Reason.NOT_AN_OBJECT),
}
# Judged by a step before or after parsing, or no bytes at all.
_NO_TEXT = {Reason.UNKNOWN_SCHEMA, Reason.NOT_AVRO, Reason.TOO_LARGE}
LISTED = {name: value for name, (value, reason) in POISON.items() if value is not None and reason not in _NO_TEXT} | {
    "an event": event(),
    "escaped NUL": event(attributes={"a": "\0"}),
    "2^64": event(attributes={"a": 2**64}),
    "overlong NUL": event(attributes={"a": "?"}).replace(b"?", b"\xc0\x80"),
    "beyond Unicode": event(attributes={"a": "?"}).replace(b"?", b"\xf4\x90\x80\x80"),
    "continuation byte alone": event(attributes={"a": "?"}).replace(b"?", b"\x80"),
    "minus zero": event(metrics={"a": -0.0}),
}
_PIECES = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"\\",
        b",",
        b":",
        b" ",
        b"\n",
        b"\0",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\\u0000",
    ),
    *(b"\\ud800", b"NaN", b"1e999", b"-", b"0", b"9" * 400, b"[" * 70, b'{"a":' * 70, b'"event_type":"x",', b"null", b"true", b"/**/"),
]


def _mutate(value: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 4)):
        place, end = sorted(chance.randint(0, len(value)) for _ in range(2))
        end = min(end, place + 40)
        change = chance.randrange(5)
        if change == 0:
            value = value[:place] + chance.choice(_PIECES) + value[place:]
        elif change == 1:
            value = value[:place] + value[end:]
        elif change == 2:
            value = value[:end] + value[place:end] + value[end:]
        elif change == 3 and value:
            place = min(place, len(value) - 1)
            value = value[:place] + bytes([value[place] ^ 1 << chance.randrange(8)]) + value[place + 1 :]
        else:
            value = value[:place] + chance.choice(_PIECES) + value[end:]
    return value


def _compare(values: Sequence[bytes], avro_count: int) -> int:
    """Ask every path of every value, and require that they agree; returns how many verdicts were compared."""
    expected = EVENT_PATHS["exact parser"](values)
    for name, ask in EVENT_PATHS.items():
        assert _differences(values, ask(values), expected) == [], name
    as_objects = [_as_object(reason) for reason in expected]
    for name, ask in OBJECT_PATHS.items():
        assert _differences(values, ask(values), as_objects) == [], name
    compared = len(values) * (len(EVENT_PATHS) + len(OBJECT_PATHS))
    for value, reason in zip(values, expected, strict=True):
        compared += _compare_collector(value, reason) + _compare_import(value, reason)
    for value, verdict in [*zip(values, as_objects, strict=True)][:avro_count]:
        # Within a datum the text lies one level deeper, and Avro's own text must be UTF-8.
        if verdict not in (Reason.NOT_UTF8, Reason.TOO_DEEP):
            said_of_text = parser_paths.ask_avro(value.decode())
            assert said_of_text == verdict or (verdict != READABLE and said_of_text == "text"), (value, said_of_text, verdict)
            compared += 1
    return compared


def _as_object(reason: str) -> str:
    return reason if reason in _UNREADABLE else READABLE


def _compare_collector(value: bytes, expected: str) -> int:
    """An event is taken, and what cannot be read is refused for the same reason. Of an object that is no event the collector may make one: it
    adds what a client leaves to it, but does not call it unreadable. Returns how many verdicts were compared."""
    said = parser_paths.ask_collector(value, may_name_apps=True)
    # A record of a stream may be packed into a text or an array, be several values, or have a mark in front: each value is judged then.
    if len(said) != 1 or not value.strip() or value.lstrip()[:1] in (b'"', b"[", b"\xef") or b'"BatchItem"' in value:
        return 0
    assert _as_object(said[0]) == _as_object(expected), (value, said, expected)
    assert expected != EVENT_VERDICT or said == [EVENT_VERDICT], (value, said)
    return 1


def _compare_import(value: bytes, expected: str) -> int:
    """An object is taken whole and judged as it would be anywhere, and so is each piece of what is none; a value that cannot be read is not taken.
    Returns how many verdicts were compared."""
    pieces = parser_paths.ask_import(value)
    if _as_object(expected) == READABLE:
        assert pieces == [(value.strip(b" \t\r\n"), expected)], (value, pieces, expected)
        return 1
    taken = [(content, verdict) for content, verdict in pieces if verdict != REFUSED]
    by_themselves = EVENT_PATHS["exact parser"]([content for content, _ in taken])
    assert [verdict for _, verdict in taken] == by_themselves, (value, taken, by_themselves)
    return max(1, len(pieces))


def _differences(values: Sequence[bytes], found: Sequence[str], expected: Sequence[str]) -> list[tuple[bytes, str, str]]:
    return [(value[:200], one, other) for value, one, other in zip(values, found, expected, strict=True) if one != other]


def test_fault_16_every_parser_path_gives_the_same_verdict_and_none_crashes(schedule: Schedule, proof: Proof) -> None:
    listed = [*LISTED.values()]
    verdicts = _compare(listed, len(listed))
    short = [value for value in listed if len(value) < 3000]
    count = schedule.choose(400, 30_000)
    for start in range(0, count, 1000):
        mutated = [_mutate(schedule.chance.choice(short), schedule.chance) for _ in range(min(1000, count - start))]
        verdicts += _compare(mutated, 30)
    proof.note(injections=len(listed) + count, verdicts=verdicts, paths=len(EVENT_PATHS) + len(OBJECT_PATHS) + 3, crashes=0)


@pytest.mark.parametrize("app_id", [5, 1.5, {"a": 1}, [1], True])
def test_fault_16_an_app_id_that_is_no_text_is_refused_and_quoted(app_id: object, proof: Proof) -> None:
    assert parser_paths.ask_collector(event(application={"app_id": app_id})) == [Reason.WRONG_TYPE]
    proof.note(injections=1)


def _is_valid_to_duckdb(value: bytes) -> bool:
    with duckdb.connect() as con:
        found = con.execute("select json_valid($text)", {"text": value.decode()}).fetchone()
    return found is not None and bool(found[0])


def _is_valid_to_json(value: bytes) -> bool:
    json.loads(value)
    return True


def _differs(is_valid: Callable[[bytes], bool]) -> list[str]:
    """Names of the listed messages on which a parser says otherwise than we do."""
    names = []
    for name, value in LISTED.items():
        try:
            parse_exactly(value)
            ours = True
        except Unreadable:
            ours = False
        try:
            theirs = is_valid(value)
        except (ValueError, RecursionError):
            theirs = False
        if ours != theirs:
            names.append(name)
    return names


def test_fault_16_parsers_that_are_not_asked_first_differ_on_what_is_listed() -> None:
    """Why every message is read by a parser of our own before any of these sees it."""
    by_json, by_duckdb = _differs(_is_valid_to_json), _differs(_is_valid_to_duckdb)
    assert {"NaN", "name twice"} <= {*by_json}
    assert {"NaN", "name twice", "100,000 arrays deep"} <= {*by_duckdb}


def test_fault_16_what_is_listed_spoils_no_block_and_ends_no_process(proof: Proof) -> None:
    expected = EVENT_PATHS["exact parser"]([*LISTED.values()])
    blocks = ask_in_processes([*LISTED.values()])
    assert (
        _differences([*LISTED.values()], [*map(str, blocks)], [str([EVENT_VERDICT, verdict, EVENT_VERDICT]) for verdict in expected]) == []
    )
    proof.note(injections=len(LISTED), crashes=0)


def test_fault_16_what_is_listed_spoils_a_block_or_ends_the_process_control(proof: Proof) -> None:
    expected = EVENT_PATHS["exact parser"]([*LISTED.values()])
    blocks = ask_in_processes([*LISTED.values()], guards_off="pre_scan")
    ended = Counter(block for block in blocks if isinstance(block, str))
    spoilt = [
        block
        for block, verdict in zip(blocks, expected, strict=True)
        if not isinstance(block, str) and block != [EVENT_VERDICT, verdict, EVENT_VERDICT]
    ]
    proof.note(injections=len(LISTED))
    proof.show(
        f"of {len(LISTED)} messages {ended.total()} end the worker's validation ({', '.join(f'{count} by {what}' for what, count in ended.items())}), "
        f"and {len(spoilt)} change what is said of themselves or of the events beside them"
        if "signal 11" in ended and spoilt
        else ""
    )
