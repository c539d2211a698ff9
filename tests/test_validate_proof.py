"""The proof that lets a message go the short way: each part of it is needed."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from agents import validate
from agents.parsing import proof
from agents.parsing.proof import is_proven
from agents.parsing.signature import Signature
from agents.validate import ValidateRules, validate_batch, validate_strictly
from tests.validate_inputs import build_records, event, render, with_raw

RULES = ValidateRules(message_bytes_max=1_000_000)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


# Each would land wrong without the one part of the proof that is named.
TRAPS: dict[str, tuple[str, bytes]] = {
    "unknown name": ("members", with_raw(b'"zzz":"q"')),
    "name twice": ("members", with_raw(b'"event_version":"3.0"')),
    "empty object where text is wanted": ("objects", event(awsAccountId={})),
    "number where text is wanted": ("others", event().replace(b'"3.1"', b"3.10")),
    "white space before a colon hides one name for another": (
        "is_countable",
        with_raw(b'"zzz":"q"').replace(b'"event_version":', b'"event_version" :'),
    ),
    "name that ends in a backslash": ("is_countable", with_raw(b'"zzz\\\\":"q"')),
    "attribute twice": ("has_distinct_keys", event().replace(b'"plan":', b'"sku":"SKU-2","plan":')),
    "metric twice": ("has_distinct_keys", event().replace(b'"quantity":', b'"price":2,"quantity":')),
    "number too large for a metric": ("has_finite_values", event().replace(b"9.5", b"9.5e999")),
    "text as a metric against a number as an attribute": (
        "is_provable",
        event(metrics={"price": "9.5"}).replace(b'"SKU-1"', b"7.50"),
    ),
    "text as an object against an object as a text": ("has_no_guise", event(device="x", awsAccountId={})),
    "text as an object against an object as event_type": ("has_no_guise", event(client="x", event_type={})),
    "text as an object against an object as an attribute": ("has_no_guise", event(session="x", attributes={"a": {}})),
    "name twice inside of facets": ("is_counted", event(facets={"a": 1}).replace(b'{"a":1}', b'{"a":1,"a":1}')),
    "number too large inside of facets": ("is_counted", event(facets={"a": [0]}).replace(b"[0]", b"[1e999]")),
    "facets a level too deep": ("is_counted", event(facets=json.loads('{"a":' * 64 + "1" + "}" * 64))),
    "colon that only facets as read begin with": ("is_counted", with_raw(b'"facets":{"a":"\\u003a"},"zzz":"q"')),
    "text as a time against a number as a text": ("::varchar", event(arrival_timestamp="7", awsAccountId=-0.50)),
    "fraction as a time": ("not contains", event(arrival_timestamp=7.5)),
    "trailing comma": ("scan_values", event()[:-1] + b",}"),
}


def lands_alike(con: duckdb.DuckDBPyConnection, value: bytes) -> bool:
    records = build_records([value])
    quick, strict = validate_batch(con, records, RULES), validate_strictly(con, records, RULES)
    return bool(quick.parsed.equals(strict.parsed) and quick.dead.equals(strict.dead))


def test_facets_at_the_deepest_level_land(con: duckdb.DuckDBPyConnection) -> None:
    value = event(facets=json.loads('{"a":' * 63 + "1" + "}" * 63))
    assert lands_alike(con, value)
    assert validate_batch(con, build_records([value]), RULES).parsed.num_rows == 1


@pytest.mark.parametrize("name", TRAPS)
def test_each_part_of_the_proof_is_needed(con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    part, value = TRAPS[name]
    assert lands_alike(con, value)
    disarm(monkeypatch, part)
    assert not lands_alike(con, value)


class Agreeing(np.ndarray[Any, np.dtype[np.int64]]):
    """Figures that equal any others."""

    def __eq__(self, other: object) -> Any:
        return np.ones(len(self), np.bool_)

    __hash__ = None


def disarm(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Take one part out of the proof."""
    if part == "scan_values":
        monkeypatch.setattr(validate, "scan_values", lambda values: values.cast(pa.string()))
    elif part == "::varchar":
        monkeypatch.setattr(validate, "_PARSE", validate._PARSE.replace("::varchar as bigint", " as bigint"))
    elif part == "not contains":
        monkeypatch.setattr(validate, "_PARSE", validate._PARSE.replace(", '.')", ", 'no')"))
    elif part == "is_provable":
        monkeypatch.setattr(validate, "is_proven", lambda found, signature: is_proven(assume_provable(found), signature))
    elif part in {"members", "objects", "others", "is_countable"}:
        monkeypatch.setattr(validate, "is_proven", lambda found, signature: is_proven(found, pretend(part, signature)))
    else:
        monkeypatch.setattr(proof, part, lambda *found, **place: True)


def assume_provable(found: pa.Table) -> pa.Table:
    place = found.schema.get_field_index("is_provable")
    return found.set_column(place, "is_provable", pa.repeat(pa.scalar(True), len(found)))


def pretend(part: str, signature: Signature) -> Signature:
    """The signature with one figure that always agrees."""
    if part == "is_countable":
        return replace(signature, is_countable=signature.is_countable | True)
    return replace(signature, **{part: getattr(signature, part).view(Agreeing)})


def test_text_that_only_duckdb_refuses_costs_no_neighbour(con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    records = build_records([event(), b"garbage", event(unknown=1)])
    expected = validate_batch(con, records, RULES)
    disarm(monkeypatch, "scan_values")
    found = validate_batch(con, records, RULES)
    assert found.parsed.equals(expected.parsed)
    assert found.dead.equals(expected.dead)
    assert (found.parsed.num_rows, found.dead.num_rows) == (2, 1)


def test_render_writes_what_json_reads() -> None:
    assert json.loads(render([("a", [1, "x"]), ("b", [("c", None)])])) == {"a": [1, "x"], "b": {"c": None}}
