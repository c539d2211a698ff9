"""Arrow columns: distinct rows of several, values out of maps, one array of many."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.parsing.map_columns import has_distinct_keys


def find_distinct(columns: Sequence[pa.Array]) -> tuple[pa.Array, pa.Array]:
    """Rows of the first occurrence of each distinct combination of the columns, and for each row which of these it is."""
    combined, combinations = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        encoded = pc.dictionary_encode(column, null_encoding="encode")
        combined = combined * len(encoded.dictionary) + encoded.indices.to_numpy()
        combinations *= max(len(encoded.dictionary), 1)
        if combinations > 2**31:
            # Number them anew before the next product outgrows 64 bits.
            renumbered = pa.array(combined).dictionary_encode()
            combined, combinations = renumbered.indices.to_numpy().astype(np.int64), len(renumbered.dictionary)
    encoded = pa.array(combined).dictionary_encode()
    first_rows = np.zeros(len(encoded.dictionary), dtype=np.int64)
    # Assigned from the last row to the first: the first occurrence stays.
    first_rows[encoded.indices.to_numpy()[::-1]] = np.arange(len(combined))[::-1]
    return pa.array(first_rows), encoded.indices


def find_plain(kinds: pa.Array, others: Sequence[pa.Array]) -> tuple[pa.Array, pa.Array]:
    """Rows that stand for all of them, and for each row which of these it is.

    Rows with nothing but nulls in `others` are as good as one another when their `kinds` are equal; each other row stands for itself.
    """
    is_plain = np.ones(len(kinds), np.bool_)
    for column in others:
        if column.null_count < len(column):
            is_plain &= column.is_null().to_numpy(zero_copy_only=False)
    plain, rich = np.flatnonzero(is_plain), np.flatnonzero(~is_plain)
    first_rows, kind_of_row = find_distinct([kinds.take(pa.array(plain))])
    place = np.empty(len(kinds), np.int64)
    place[plain] = kind_of_row.to_numpy()
    place[rich] = np.arange(len(first_rows), len(first_rows) + len(rich))
    return pa.array(np.concatenate([plain[first_rows.to_numpy()], rich])), pa.array(place)


def pick_attributes(attributes: pa.Array, names: Sequence[str]) -> dict[str, pa.Array]:
    """For each name the text that each row's map has under it, or null. A look at all keys at once: 0.06 us a row for eight names
    where DuckDB's map lookups take 1.1."""
    offsets = attributes.offsets.to_numpy()
    start, stop = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    which = pc.index_in(attributes.keys.slice(start, stop - start), value_set=pa.array(names, pa.string()))
    positions = np.flatnonzero(which.is_valid().to_numpy(zero_copy_only=False))
    which = which.take(pa.array(positions)).to_numpy()
    rows = np.searchsorted(offsets, positions + start, side="right") - 1
    picked = {}
    for index, name in enumerate(names):
        place = np.full(len(attributes), -1, dtype=np.int64)
        place[rows[which == index]] = positions[which == index] + start
        picked[name] = attributes.items.take(pa.array(place, mask=place < 0))
    return picked


def without_doubles(maps: pa.ChunkedArray) -> pa.ChunkedArray:
    """The maps, null where one has a name twice: DuckDB's from_json lets that through, and other engines then refuse the whole file."""
    is_distinct = has_distinct_keys(as_array(maps))
    return maps if is_distinct.all() else pc.if_else(pa.array(is_distinct), maps, pa.scalar(None, maps.type))


def as_array(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; pyarrow's combine_chunks would copy even a single chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
