"""Keys lead to the partition that Java's partitioner chooses, as two other implementations have it."""

import confluent_kafka
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_python_murmur2

from agents.dedup.partitioner import murmur2, partitions_of
from pipeline.producer import record_key

# Letters whose lower case is longer, depends on the place in the word, or lies outside Arrow's tables are in the alphabet on purpose.
text = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("İΣßẞAaZz/ 🦊")), max_size=40)
names = text.filter(lambda name: name != "")


@given(st.lists(st.binary(max_size=70), max_size=40))
def test_murmur2_is_that_of_kafka_python(keys: list[bytes]) -> None:
    expected = [kafka_python_murmur2(key) & 0xFFFFFFFF for key in keys]
    assert murmur2(pa.array(keys, pa.binary())).tolist() == expected


@settings(max_examples=200)
@given(st.lists(st.tuples(names, st.one_of(st.none(), text), names), min_size=1, max_size=30), st.integers(1, 300))
@example([("Shop", "İSTANBUL", "e1"), ("Shop", "ΟΔΟΣ", "e1"), ("Shop", "", "E1"), ("Shop", None, "E1")], 7)
def test_rows_belong_where_our_producers_send_them(rows: list[tuple[str, str | None, str]], partition_count: int) -> None:
    expected = [confluent_kafka.murmur2(record_key(*row), partition_count) for row in rows]
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    assert partitions_of(partition_count, *columns).tolist() == expected


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_columns_may_come_as_any_kind_of_text_in_any_chunks(kind: pa.DataType) -> None:
    columns = [pa.array(["A", "b", "c"]), pa.array(["x", None, "z"]), pa.array(["1", "2", "3"])]
    expected = partitions_of(5, *columns).tolist()
    chunked = [pa.chunked_array([column.slice(0, 1), column.slice(1, 2)]).cast(kind) for column in columns]
    assert partitions_of(5, *chunked).tolist() == expected
    assert partitions_of(5, *[column.slice(1) for column in columns]).tolist() == expected[1:]


def test_no_rows_belong_nowhere() -> None:
    empty = pa.array([], pa.string())
    assert partitions_of(5, empty, empty, empty).tolist() == []


def test_another_hash_sends_keys_elsewhere() -> None:
    """The control: with the sign bit kept, as a naive reading has it, keys go astray."""
    keys = [f"shop/{number}" for number in range(200)]
    expected = [confluent_kafka.murmur2(key.encode(), 7) for key in keys]
    hashes = murmur2(pa.array(keys))
    assert ((hashes & np.uint32(0x7FFFFFFF)) % np.uint32(7)).tolist() == expected
    assert (hashes % np.uint32(7)).tolist() != expected
