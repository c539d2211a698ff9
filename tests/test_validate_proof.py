"""The proof that lets a message go the short way: each part of it is needed."""

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from agents import validate
from agents.prescan import scan_values
from agents.signature import Signature
from agents.validate import ValidateRules, validate_batch, validate_strictly
from tests.validate_inputs import build_records, event, render, with_raw

RULES = ValidateRules(message_bytes_max=1_000_000)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


# Each would land wrong without the one part of the proof that is named.
TRAPS: dict[str, tuple[str, bytes]] = {
    "unknown name": ("member_count", with_raw(b'"zzz":"q"')),
    "name twice": ("member_count", with_raw(b'"event_version":"3.0"')),
    "empty object where text is wanted": ("object_count", event(awsAccountId={})),
    "number where text is wanted": ("number_count", event().replace(b'"3.1"', b"3.10")),
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
    "text as an object against an object as a text": ("is_provable", event(device="x", awsAccountId={})),
    "text as an object against an object as event_type": ("is_provable", event(client="x", event_type={})),
    "text as an object against an object as an attribute": ("is_provable", event(session="x", attributes={"a": {}})),
    "trailing comma": ("prescan", event()[:-1] + b",}"),
}


def lands_alike(con: duckdb.DuckDBPyConnection, value: bytes) -> bool:
    records = build_records([value])
    quick, strict = validate_batch(con, records, RULES), validate_strictly(con, records, RULES)
    return bool(quick.parsed.equals(strict.parsed) and quick.dead.equals(strict.dead))


@pytest.mark.parametrize("name", TRAPS)
def test_each_part_of_the_proof_is_needed(con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    part, value = TRAPS[name]
    assert lands_alike(con, value)
    disarm(monkeypatch, part)
    assert not lands_alike(con, value)


def disarm(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Take one part out of the proof."""
    is_proven = validate._is_proven
    if part == "prescan":
        monkeypatch.setattr(validate, "scan_values", lambda values: (scan_values(values)[0], scan_values(values)[1] | True))
    elif part.startswith("has_"):
        monkeypatch.setattr(validate, part, lambda maps: True)
    else:
        monkeypatch.setattr(validate, "_is_proven", lambda found, signature: is_proven(*pretend(part, found, signature)))


def pretend(part: str, found: pa.Table, signature: Any) -> tuple[pa.Table, Any]:
    """The figures as if one of them always agreed."""
    if part == "is_countable":
        return found, Signature(signature.members, signature.objects, signature.others, signature.is_countable | True)
    columns = {"member_count": signature.members, "object_count": signature.objects, "number_count": signature.others}
    columns["is_provable"] = signature.is_countable | True
    place = found.schema.get_field_index(part)
    return found.set_column(place, part, pa.array(columns[part])), signature


def test_render_writes_what_json_reads() -> None:
    assert json.loads(render([("a", [1, "x"]), ("b", [("c", None)])])) == {"a": [1, "x"], "b": {"c": None}}
